// The network's learned local function, as the set-up evaluates it. deepcg/multilevel.py is its definition.
#pragma once

#include <cmath>

#include "deepcg.h"

namespace dcg {

struct Local {
  float relax = 1.0f;   // factor of the relaxation, in (3/4, 5/4)
  float edge = 1.0f;    // an edge's weight takes both its ends' factors, each in (3/4, 5/4)
  float toward = 1.0f;  // odds of leaning on the neighbour in the prolongation, in (1/2, 3/2)
};

inline float softsign(float v) { return v / (1.0f + std::fabs(v)); }

// The learned function of a cell's surroundings: one hidden layer, bounded throughout. Features: shares of the diagonal that lie
// in anchors, in the shift, along the strongest and the weakest axis, in differences between opposite faces. What counts is the
// difference that anchors, shift and unevenness make: inside a regular grid, isotropic or not, only the bias is left.
inline Local evaluate(const dcg_weights &w, const float features[DCG_FEATURES]) {
  float hidden[DCG_HIDDEN], out[DCG_OUTPUTS];
  for (int h = 0; h < DCG_HIDDEN; ++h) {
    const float *weight = w.hidden_weight[h];
    const float regular = w.hidden_bias[h] + weight[2] * features[2] + weight[3] * features[3];
    const float sum = regular + weight[0] * features[0] + weight[1] * features[1] + weight[4] * features[4];
    hidden[h] = softsign(sum) - softsign(regular);
  }
  for (int o = 0; o < DCG_OUTPUTS; ++o) {
    float sum = w.output_bias[o];
    for (int h = 0; h < DCG_HIDDEN; ++h) sum += w.output_weight[o][h] * hidden[h];
    out[o] = softsign(sum);
  }
  return {1.0f + 0.25f * out[0], 1.0f + 0.25f * out[1], 1.0f + 0.5f * out[2]};
}

}  // namespace dcg
