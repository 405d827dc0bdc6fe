// A matrix as it was read: the operator over cells, and the rows that are no unknowns.
#pragma once

#include <memory>
#include <vector>

#include "matrix/scan.hpp"
#include "session/placement.hpp"
#include "session/scaling.hpp"
#include "session/settings.hpp"

namespace dcg {

// An array without values to begin with: what nobody writes to takes no memory.
template <class T>
class Room {
 public:
  T *make(int64_t size) {
    if (size > size_) values_.reset(new T[size]), size_ = size;
    return values_.get();
  }
  void drop() { values_.reset(), size_ = 0; }
  T *data() const { return values_.get(); }
  int64_t bytes() const { return size_ * static_cast<int64_t>(sizeof(T)); }

 private:
  std::unique_ptr<T[]> values_;
  int64_t size_ = 0;
};

// Rows that are diagonal only, or zero, and what the others have of the former.
struct LoneRows {
  std::vector<int64_t> row;     // those that are diagonal only first
  std::vector<double> inverse;  // 1 / a_ii of those
  struct Entry {
    int64_t row, column;        // column: a row, or that many rows and more: a ghost
    double value;
  };
  std::vector<Entry> dropped;   // a_ij of unknowns i and rows j that are diagonal only

  int64_t diagonal() const { return static_cast<int64_t>(inverse.size()); }
};

class Reading {
 public:
  Reading() = default;
  ~Reading();
  Reading(const Reading &) = delete;

  // Collective. Refuses matrices that are not served, on all ranks. messages NULL: there is one process.
  void read(const dcg_csr &matrix, const Grid &grid, const Settings &settings, Messages *messages, bool same_pattern);
  // An operator instead: rows are cells.
  void take(const dcg_operator &op, Ranks *ranks);

  const dcg_operator &op() const { return op_; }
  const dcg_matrix_result &facts() const { return facts_; }
  const Placement &placement() const { return placement_; }
  const LoneRows &lone() const { return lone_; }
  // Of the diagonal: what op, corrections included, may lack of the rows (of an operator, that its weights are rounded), and what the rounding of R, A, C and x to their product leaves.
  double unheld() const { return (scan_ ? scan_->unheld : kEps) + (scaling_.empty() ? 0.0 : 8.0 * kEps); }
  const Scaling &scaling() const { return scaling_; }  // of the matrix that op stands for
  const RowNumbers *numbers() const { return numbers_.get(); }  // NULL: there is one process
  int64_t rows() const { return rows_; }
  int64_t bytes() const;

  // r -= (A - op) x, both over cells; false: there is nothing that op lacks, up to rounding. Collective.
  bool correct(const double *x, double *r) const;

  // Values of other ranks' rows, in the order of the matrix's ghosts. Collective.
  void fetch(const double *rows, double *ghosts) const;
  int64_t ghosts() const { return ghosts_; }

 private:
  void read_values(const dcg_csr &matrix, const Grid &grid, const Settings &settings, Messages *messages, bool same_pattern);
  void place(const dcg_csr &matrix, const Grid &grid, const Ranks *ranks);
  void link_kinds(Messages &messages);
  void link_ghosts(const dcg_csr &matrix, Messages &messages);
  void check_symmetry(const dcg_csr &matrix, Ranks &ranks);
  void agree_on_faces(double *const weights[3]);
  void find_lone_rows(const dcg_csr &matrix);
  void find_dropped(const dcg_csr &matrix);
  void set_operator();
  void settle_row_sums(Messages *messages);
  const uint8_t &kind_of(int64_t row) const;

  Placement placement_;
  std::unique_ptr<RowNumbers> numbers_;
  int64_t rows_ = 0, ghosts_ = 0;
  dcg_matrix_scan *scan_ = nullptr;
  Room<uint8_t> kinds_, cells_;
  Room<double> weights_[3], shift_;
  dcg_operator op_{};
  dcg_matrix_result facts_{};
  LoneRows lone_;
  Scaling scaling_;
  Halo around_, others_;  // of kinds beside the box; of rows that the ghosts belong to
  bool linked_ = false;     // others_
  bool corrected_ = false, correct_ghosts_ = false;  // on some rank
  std::vector<int64_t> ghost_cell_;
};

}  // namespace dcg
