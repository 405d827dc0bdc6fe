// What a session holds between the calls of dcg_solver_*.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "session/box_operator.hpp"
#include "session/null_space.hpp"
#include "session/reading.hpp"
#include "session/settings.hpp"

struct dcg_solver {
  dcg_solver() = default;
  ~dcg_solver() { drop_levels(), drop_classical(); }

  // what the caller says
  dcg::Settings settings;
  dcg::Grid grid;
  std::unique_ptr<dcg::Messages> messages;

  dcg_preconditioner preconditioner{};  // the caller's own, where `apply` is not NULL
  dcg_fallback fallback{};  // there is one where `apply` is not NULL
  dcg_observer observer{};
  bool observed = false;  // the solve: on some rank

  // what was read: NULL before the first matrix. Sessions may share it, and what a solve makes of it
  std::shared_ptr<dcg::Reading> reading;
  bool by_rows = true;  // false: an operator was given

  // what was set up
  dcg_parameters parameters{};
  dcg_model model{};
  std::string model_name;  // for which the parameters were read; empty: none
  int32_t model_dim = 0;
  dcg_multilevel *levels = nullptr;
  dcg_multilevel *classical = nullptr;  // the levels without learned factors, where they were needed as a fallback
  bool ready = false;
  // only a solve needs these
  std::shared_ptr<dcg::BoxOperator> box;
  std::shared_ptr<dcg::NullSpace> null_space;
  bool solvable = false;
  double norm_bound = 0.0;  // >= ||A||_2
  double setup_seconds = 0.0;
  int64_t exchanges = 0, bytes = 0;  // of one application on several ranks, from the first one on

  std::vector<double> inverse_diagonal;  // over cells; empty: not asked for yet

  bool solving = false, destroyed = false;  // destroyed: by a callback; the session goes when the call ends
  // of the last solve
  std::vector<double> residuals;
  std::vector<dcg_step> steps;
  std::vector<double> r, z, rhs, seen;  // over cells; over rows: what the observer sees

  int32_t dim() const;
  dcg::Ranks *ranks() { return messages ? &messages->ranks() : nullptr; }
  // What was read and set up; throws where there is no matrix yet.
  dcg::Reading &need_reading() const;
  void need_idle() const;  // throws within a callback of a solve
  void set_up();
  void prepare_solve();
  dcg_multilevel *make_levels(const dcg_parameters &of) const;
  dcg_multilevel *need_classical();
  void drop_levels();
  void drop_classical();
  void forget();  // the matrix
  void read_model(int32_t dim, bool &in_python);

  // Vectors over rows to vectors over cells, 0 where there is no unknown, and back; times a number.
  bool by_levels() const { return !preconditioner.apply && settings.model != "jacobi" && settings.model != "none"; }
  bool direct() const {
    return reading->placement().cell.empty() && reading->rows() == reading->placement().cells() && reading->scaling().empty();
  }
  void residual_to_cells(double scale, const double *rows, double *cells) const;  // of the scaled matrix
  void guess_to_cells(double scale, const double *rows, double *cells) const;
  void from_cells(double scale, const double *cells, double *rows) const;
  // b over rows to the right-hand side over cells; `fixed` is room for the solution of rows that are diagonal only.
  void rhs_to_cells(double scale, const double *b, double *cells, std::vector<double> &fixed) const;
  // Adds to a right-hand side what unknowns have of `fixed`.
  void add_fixed(double times, const double *fixed, double *cells) const;
  // Rows that are no unknowns: the solution for b, or 0 where that is NULL.
  void solve_lone_rows(const double *b, double *rows) const;
  // Takes off what no x can change, over rows; returns its 2-norm. Collective.
  double project(double *rows);
  const double *find_inverse_diagonal();              // 1 for unknowns without a diagonal, 0 where there is no unknown
  void precondition(const double *r, double *z);      // over cells, both 0 where there is no unknown
  void apply(const double *r, double *z);             // over rows
  void apply(const double *r, double *z, dcg_multilevel *by);
  void iterate(int32_t window, double *x, double *r, double target, int64_t maxiter, double *history, double *steps, int64_t *iterations,
               int32_t *result);
  void count_messages(int64_t cycles);
  // The 2-norm over all ranks that a residual over cells has over rows.
  double norm2(const double *cells);
  // A target of that norm as one of the 2-norm over cells, which the compiled iterations have; r: the residual over cells that they begin with.
  double scaled_target(const double *r, double target);
};

namespace dcg {

double now();  // seconds

// While a call lives that calls back. The callbacks are refused what would change the session.
class Solving {
 public:
  explicit Solving(dcg_solver &s) : s_(s) { s_.need_idle(), s_.solving = true; }
  ~Solving() {
    s_.solving = false;
    if (s_.destroyed) delete &s_;
  }

 private:
  dcg_solver &s_;
};

// As many OpenMP threads as an option says, while this lives; 0: as they are.
class Threads {
 public:
  explicit Threads(int64_t wanted);
  ~Threads();

 private:
  int before_;
};

}  // namespace dcg
