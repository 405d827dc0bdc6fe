// The next coarser level: its unknowns (aggregates.cpp), their edges (faces.cpp), and the unstructured part (unstructured.cpp).

#include "setup/coarsening.hpp"

namespace dcg {

template <class Fine>
void Coarsening<Fine>::run() {
  fill(member, fine.box.size + fine.secondary, uint8_t{0}, threads);
  reset_coarse();
  for (size_t n = 0; n < fine.edges.size(); ++n)
    for (const int64_t u : {fine.edges[n].low, fine.edges[n].high}) member[u] |= kTouched, edges_at[u].push_back(n);
  find_aggregates();
  flag_rows();
  resize_coarse();
  add_structured();
  add_unstructured();
}

template <class Fine>
void Coarsening<Fine>::reset_coarse() {
  int64_t shape[3];
  for (int a = 0; a < 3; ++a) shape[a] = fine.coarsening[a].coarse(), coarse.periodic[a] = fine.periodic[a];
  coarse.box.reset(shape);
  coarse.secondary = 0, coarse.secondary_cell.clear(), coarse.edges.clear(), coarse.unstructured.clear();
}

template <class Fine>
void Coarsening<Fine>::resize_coarse() {
  const int64_t n = coarse.box.size + coarse.secondary;
  const auto zeroed = [&](Field<float> &f) { fill(f, n, 0.0f, threads); };
  for (int a = 0; a < 3; ++a) {
    zeroed(coarse.weight[a]), zeroed(coarse.dirichlet[a]);
    for (int s = 0; s < 2; ++s) zeroed(coarse.interp_parent[a][s]), zeroed(coarse.interp_neighbour[a][s]);
  }
  zeroed(coarse.shift), zeroed(coarse.diagonal), zeroed(coarse.omega_dinv), zeroed(coarse.x), zeroed(coarse.b);
}

void coarsen(Level &fine, Level &coarse, int threads) {
  fine.unstructured.clear();
  if (fine.constant) {
    Coarsening<ConstantFine>(fine, coarse, threads).run();
  } else {
    Coarsening<VariableFine>(fine, coarse, threads).run();
  }
}

}  // namespace dcg
