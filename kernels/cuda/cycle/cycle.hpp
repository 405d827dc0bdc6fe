// The cycle as a sequence of phases, by kernels of their own on large levels and by one block from the first small level down.
#pragma once

#include "cuda/cycle/unstructured.hpp"

namespace dcg::cuda {

DCG_EITHER
template <class Run, class Body>
DCG_BOTH void over(const Run &run, const Body &body) {
  run.cells(body.extent(), body);
}

DCG_EITHER
template <class Run>
DCG_BOTH void smooth_down(const Run &run, const LevelView &fine, const LevelView &coarse) {
  using View = typename Run::template Held<LevelView>;
  if (fine.extras) run.items(fine.extras, Zero{fine.x + fine.grid.size});
  for (int s = 0; s < fine.sweeps; ++s) {
    for (int p = 0; p < fine.passes; ++p) over(run, Relax<View>{fine, s, p, s == 0 && p == 0});
    if (fine.extras) run.alone(RelaxExtras<View>{fine, true});
  }
  over(run, MergeX<View>{fine, coarse});
  over(run, Restrict<View>{fine, coarse});
  if (coarse.extras) run.items(coarse.extras, Zero{coarse.b + coarse.grid.size});
  if (fine.rows) {
    run.items(fine.rows, ListedResidual<View>{fine});
    run.items(fine.columns, ListedRestrict<View>{fine, coarse});
  }
}

DCG_EITHER
template <class Run>
DCG_BOTH void smooth_up(const Run &run, const LevelView &fine, const LevelView &coarse) {
  using View = typename Run::template Held<LevelView>;
  over(run, Prolong<View>{fine, coarse});
  if (fine.extras) run.items(fine.extras, Zero{fine.change});
  if (fine.rows) run.items(fine.rows, ListedProlong<View>{fine, coarse});
  if (fine.touched) run.items(fine.touched, GiveChange<View>{fine});
  for (int s = fine.sweeps - 1; s >= 0; --s) {
    if (fine.extras) run.alone(RelaxExtras<View>{fine, false});
    for (int p = fine.passes - 1; p >= 0; --p) over(run, Relax<View>{fine, s, p, false});
  }
}

// Down from level `first`, the coarsest one's inverse, and back up.
struct SmallCycle {
  const LevelView *levels;  // on the device
  int first, last;

  DCG_BOTH void operator()(const Block &block) const {
    for (int l = first; l < last; ++l) smooth_down(block, levels[l], levels[l + 1]);
    block.items(levels[last].direct, Direct<const LevelView &>{levels[last]});
    for (int l = last - 1; l >= first; --l) smooth_up(block, levels[l], levels[l + 1]);
  }
};

// levels.views[0].x = M levels.views[0].b
inline void cycle(const Launcher &launcher, const Levels &levels) {
  const std::vector<LevelView> &views = levels.views;
  const int last = static_cast<int>(views.size()) - 1, first_small = levels.first_small;
  for (int l = 0; l < first_small; ++l) smooth_down(launcher, views[l], views[l + 1]);
  launcher.alone(SmallCycle{levels.on_device, first_small, last});
  for (int l = first_small - 1; l >= 0; --l) smooth_up(launcher, views[l], views[l + 1]);
}

}  // namespace dcg::cuda
