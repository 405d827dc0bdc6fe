// The network's learned local function, as the set-up evaluates it. deepcg/multigrid/reference/network.py is its definition.
#pragma once

#include "deepcg.h"

namespace dcg {

// Factors of the relaxation; of an edge's weight, from each of its ends; of the prolongation's odds of interpolating from the neighbour.
enum { kRelaxFactor = 0, kEdgeFactor = 1, kOddsFactor = 2 };

template <class Real>
inline Real softsign(Real v) {
  return v / (1.0f + (v > 0.0f ? v : -v));
}

// The learned function of a cell's surroundings: one hidden layer, bounded throughout. Features: shares of the diagonal that lie
// in Dirichlet couplings, in the shift, along the strongest and the weakest axis, in differences between opposite faces. The hidden layer
// enters as h(features) - h(features with Dirichlet, shift and asymmetry set to zero), so the factors are constant inside regular grids.
template <class Real>  // a number or a pack of them
inline void evaluate(const dcg_parameters &w, const Real features[DCG_FEATURES], Real factors[DCG_OUTPUTS]) {
  Real out[DCG_OUTPUTS];
  for (int o = 0; o < DCG_OUTPUTS; ++o) out[o] = Real{} + w.output_bias[o];
  for (int h = 0; h < DCG_HIDDEN; ++h) {
    const float *weight = w.hidden_weight[h];
    const Real regular = w.hidden_bias[h] + weight[2] * features[2] + weight[3] * features[3];
    const Real sum = regular + weight[0] * features[0] + weight[1] * features[1] + weight[4] * features[4];
    const Real hidden = softsign(sum) - softsign(regular);
    for (int o = 0; o < DCG_OUTPUTS; ++o) out[o] += w.output_weight[o][h] * hidden;
  }
  for (int o = 0; o < DCG_OUTPUTS; ++o) factors[o] = 1.0f + (o == kOddsFactor ? DCG_ODDS_SPREAD : DCG_FACTOR_SPREAD) * softsign(out[o]);
}

}  // namespace dcg
