// Dirichlet conditions that were folded into the diagonal, given back to the faces where neighbours are missing.
#pragma once

#include <vector>

#include "matrix/box_faces.hpp"
#include "matrix/couplings.hpp"

namespace dcg {

// An unknown that lacks neighbours, or has an excess.
struct ExcessCell {
  int64_t u;
  double excess;
  int missing;  // bit s: side s has neither a coupling nor an unknown, and is no wall that the caller knows
};

class DirichletFaces {
 public:
  DirichletFaces(const BoxFaces &faces, const Couplings &couplings, const std::vector<ExcessCell> &cells, const Processes &processes,
                 double *shift)
      : faces(faces), m(faces.m), couplings(couplings), cells(cells), processes(processes), noise(noise_of(m)), shift(shift) {}

  // Puts every excess into open faces or the shift, or into row_sums where rounding explains it; whether there is a shift. unknowns: their number,
  // on all processes.
  bool place(int64_t unknowns, const Refusal &refusal, std::vector<RowSum> &row_sums);

 private:
  const BoxFaces &faces;
  const dcg_matrix &m;
  const Couplings &couplings;
  const std::vector<ExcessCell> &cells;
  const Processes &processes;
  const double noise;  // of the diagonal
  double *shift;
  double common = 0.0;        // the excess that cells with all neighbours share
  std::vector<double> sides;  // by class of missing neighbours: cells that have one open, and closed

  void find_common(int64_t unknowns, const Refusal &refusal);
  void count_sides();
  int class_of(int64_t u, int side) const;
  double beyond_common(const ExcessCell &cell) const;
  int sharing_sides(const ExcessCell &cell) const;
  void join_ends(int axis);
  void mark_open_cells();
};

}  // namespace dcg
