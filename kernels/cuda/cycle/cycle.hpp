// The V as a sequence of phases: kernels of their own on large levels, and one block from the first small level down.
#pragma once

#include "cuda/cycle/unstructured.hpp"
#include "cycle/vcycle.hpp"

namespace dcg::cuda {

DCG_EITHER
template <class Run, class Body>
DCG_BOTH void over(const Run &run, const Body &body) {
  run.cells(body.extent(), body);
}

// Run: a Launcher or a Block; levels: views for the side that runs this.
template <class Run>
struct PhaseExecutor {
  using View = typename Run::template Held<LevelView>;

  const Run &run;
  const LevelView *levels;

  DCG_BOTH int sweeps(int l) const { return levels[l].sweeps; }
  DCG_BOTH int passes(int l) const { return levels[l].passes; }

  DCG_EITHER
  DCG_BOTH void begin(int l) const {
    const LevelView &fine = levels[l];
    if (fine.secondary) run.items(fine.secondary, Zero{fine.x + fine.grid.size});
  }
  DCG_EITHER
  DCG_BOTH void relax(int l, const Pass &pass) const { over(run, Relax<View>{levels[l], pass.sweep, pass.number, pass.first}); }
  DCG_EITHER
  DCG_BOTH void relax_secondary(int l, bool forward) const {
    if (levels[l].secondary) run.alone(RelaxSecondary<View>{levels[l], forward});
  }
  DCG_EITHER
  DCG_BOTH void restrict_residual(int l) const {
    const LevelView &fine = levels[l], &coarse = levels[l + 1];
    over(run, RestrictX<View>{fine, coarse});
    over(run, Restrict<View>{fine, coarse});
    if (coarse.secondary) run.items(coarse.secondary, Zero{coarse.b + coarse.grid.size});
    if (fine.rows) {
      run.items(fine.rows, UnstructuredResidual<View>{fine});
      run.items(fine.columns, UnstructuredRestrict<View>{fine, coarse});
    }
  }
  DCG_EITHER
  DCG_BOTH void prolong(int l) const {
    const LevelView &fine = levels[l], &coarse = levels[l + 1];
    over(run, Prolong<View>{fine, coarse});
    if (fine.secondary) run.items(fine.secondary, Zero{fine.change});
    if (fine.rows) run.items(fine.rows, UnstructuredProlong<View>{fine, coarse});
    if (fine.touched) run.items(fine.touched, GiveChange<View>{fine});
  }
  DCG_BOTH void end(int) const {}
};

// The V from level `first` down, by one block.
struct SmallCycle {
  const LevelView *levels;  // on the device
  int first, last;

  DCG_BOTH void operator()(const Block &block) const {
    const PhaseExecutor<Block> run{block, levels};
    const LevelView &coarsest = levels[last];
    v_cycle(run, first, last, [&] { block.items(coarsest.direct, Direct<const LevelView &>{coarsest}); });
  }
};

// levels.views[0].x = M levels.views[0].b
inline void cycle(const Launcher &launcher, const Levels &levels) {
  const PhaseExecutor<Launcher> run{launcher, levels.views.data()};
  const int last = static_cast<int>(levels.views.size()) - 1, first_small = levels.first_small;
  v_cycle(run, 0, first_small, [&] { launcher.alone(SmallCycle{levels.on_device, first_small, last}); });
}

}  // namespace dcg::cuda
