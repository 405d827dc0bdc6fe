// The V by one rank: stages of a level as one wavefront where that is possible, the smaller levels by one thread.

#include "cycle/cycle.hpp"

namespace dcg {

namespace {

constexpr int64_t kSmall = 16384;  // cells: a level below is swept by one thread, without barriers

class WavefrontExecutor {
 public:
  WavefrontExecutor(std::vector<LevelStages> &levels, const Team &team) : levels_(levels), team_(team) {}

  int sweeps(int l) const { return levels_[l].sweeps(); }
  int passes(int l) const { return levels_[l].passes(); }
  double dot() const { return dot_; }  // this thread's part of x . b on level 0

  void begin(int l) {
    levels_[l].clear(team_);
    if (!levels_[l].has_wavefront()) team_.barrier();
  }
  void relax(int l, const Pass &pass) { add(l, {Stage::kRelax, pass}); }
  void relax_secondary(int l, bool forward) {
    if (levels_[l].has_secondary()) by_one_thread([&] { levels_[l].relax_secondary(forward); });
  }
  void restrict_residual(int l) {
    pending_[count_++] = {Stage::kResidual, {}};
    pending_[count_++] = {Stage::kRestrict, {}};
    flush(l);
    if (levels_[l].has_unstructured()) by_one_thread([&] { levels_[l].restrict_unstructured(); });
  }
  void prolong(int l) {
    add(l, {Stage::kProlong, {}});
    if (levels_[l].has_secondary()) by_one_thread([&] { levels_[l].prolong_secondary(); });
  }
  void end(int l) {
    if (l == 0) pending_[count_++] = {Stage::kDot, {}};
    if (count_) flush(l);
  }

 private:
  void add(int l, const Stage &stage) {
    pending_[count_++] = stage;
    if (!levels_[l].has_wavefront()) flush(l);
  }
  void flush(int l) {
    dot_ += levels_[l].run(team_, pending_, count_);
    count_ = 0;
  }
  template <class Body>
  void by_one_thread(const Body &body) {
    if (team_.rank == 0) body();
    team_.barrier();
  }

  std::vector<LevelStages> &levels_;
  const Team team_;
  Stage pending_[2 * DCG_SWEEPS + 2];  // of a wavefront
  int count_ = 0;
  double dot_ = 0.0;
};

}  // namespace

void Cycle::prepare(const std::vector<Level *> &levels, const std::vector<SparseLevel *> &sparse, const dcg_parameters &parameters, size_t first, const RowKernels &rows, int threads) {
  levels_.resize(levels.size());
  sparse_.prepare(sparse, rows);
  for (size_t l = 0; l < levels.size(); ++l)
    levels_[l].prepare(*levels[l], l + 1 < levels.size() ? levels[l + 1] : nullptr, l + 1 == levels.size() && !sparse.empty() ? sparse[0] : nullptr, parameters, first + l, rows, threads);
}

int64_t Cycle::bytes() const {
  int64_t n = 0;
  for (const LevelStages &level : levels_) n += level.bytes();
  return n;
}

double Cycle::run(const Team &team) {
  const int end = static_cast<int>(levels_.size()) - (sparse_.empty() ? 1 : 0);  // levels that are relaxed
  int small = 0;
  while (small < end && (team.size == 1 || levels_[small].cells() >= kSmall)) ++small;
  const auto rest = [&](const Team &by) { sparse_.empty() ? levels_[end].solve_directly() : sparse_.run(by); };
  WavefrontExecutor all(levels_, team), alone(levels_, Team{});
  v_cycle(all, 0, small, [&] {
    if (small == end && !sparse_.empty()) return rest(team);
    if (team.rank == 0) v_cycle(alone, small, end, [&] { rest(Team{}); });
    team.barrier();
  });
  const double of_one_level = end == 0 && !levels_.empty() ? levels_[0].run(team, {{Stage::kDot, {}}}) : 0.0;
  return team.sum(all.dot() + alone.dot() + of_one_level);
}

}  // namespace dcg
