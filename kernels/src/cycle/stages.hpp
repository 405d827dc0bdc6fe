// The stages of the V on one level and to the next one, plane by plane by the threads of a team.
#pragma once

#include <initializer_list>
#include <vector>

#include "cycle/level_rows.hpp"
#include "cycle/vcycle.hpp"
#include "deepcg.h"
#include "setup/sparse_level.hpp"

namespace dcg {

struct Stage {
  enum Kind { kRelax, kResidual, kRestrict, kProlong, kDot } kind;
  Pass pass;
};

class LevelStages {
 public:
  // Sizes the buffers for a level that is set up; call it again after it changed. coarse, sparse: the next level in its form, NULL both below the last.
  void prepare(Level &level, Level *coarse, SparseLevel *sparse, const dcg_parameters &parameters, size_t number, const RowKernels &rows, int threads);

  int sweeps() const { return sweeps_; }
  int passes() const { return passes_; }
  bool has_wavefront() const { return wavefront_; }  // consecutive stages may run as one
  bool has_secondary() const { return level_->secondary > 0; }
  bool has_unstructured() const { return !level_->unstructured.empty(); }
  int64_t cells() const { return level_->box.cells(); }
  int64_t bytes() const;

  // Zeroes this thread's part of the vectors that stages read before they write them.
  void clear(const Team &team);
  // One stage over all planes; or several as one wavefront, in which a stage follows the one before it by the planes that it needs.
  // Returns this thread's part of x . b where kDot is among them.
  double run(const Team &team, const Stage *stages, int count);
  double run(const Team &team, std::initializer_list<Stage> stages) { return run(team, stages.begin(), static_cast<int>(stages.size())); }

  // By one thread
  void relax_secondary(bool forward);
  void restrict_unstructured();
  void prolong_secondary() { prolong_unstructured(level_->box.size, level_->box.size + level_->secondary); }
  void solve_directly();

 private:
  double run_plane(const Team &team, const Stage &stage, int64_t k);
  void relax(const Team &team, const Pass &pass, int64_t k);
  void relax_row(const Pass &pass, int64_t k, int64_t j, Range columns);
  void residual(const Team &team, int64_t k);
  void residual_row(int64_t start, int64_t begin, int64_t end, float *out) const;
  void restrict_plane(const Team &team, int64_t k);
  void prolong(const Team &team, int64_t k);
  void residual_for_sparse(const Team &team, int64_t k);  // these three: where the next level is sparse
  void restrict_to_sparse(const Team &team, int64_t k);
  void prolong_from_sparse(const Team &team, int64_t k);
  void prolong_unstructured(int64_t begin, int64_t end);
  double dot(const Team &team, int64_t k) const;

  Level *level_ = nullptr, *coarse_ = nullptr;
  SparseLevel *sparse_ = nullptr;
  const RowKernels *rows_ = nullptr;
  int sweeps_ = 1, passes_ = 2;
  bool wavefront_ = false;
  std::vector<int> odd_axes_;  // periodic axes of odd length: their last layer is relaxed in passes of its own
  float omega_[DCG_SWEEPS][2];
  float factors_[DCG_SWEEPS][2][DCG_STENCIL_TYPES];  // relaxation factor / diagonal by stencil type, for a level of constant coefficients
  std::vector<float> lines_[2];              // residuals of a plane, restricted along x
  std::vector<std::vector<float>> scratch_;  // per thread
  std::vector<float> zeros_;
};

}  // namespace dcg
