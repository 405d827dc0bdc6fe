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

// The learned function of a cell's surroundings: one hidden layer, bounded throughout.
inline Local evaluate(const dcg_weights &w, const float features[DCG_FEATURES]) {
  float hidden[DCG_HIDDEN], out[DCG_OUTPUTS];
  for (int h = 0; h < DCG_HIDDEN; ++h) {
    float sum = w.hidden_bias[h];
    for (int f = 0; f < DCG_FEATURES; ++f) sum += w.hidden_weight[h][f] * features[f];
    hidden[h] = softsign(sum);
  }
  for (int o = 0; o < DCG_OUTPUTS; ++o) {
    float sum = w.output_bias[o];
    for (int h = 0; h < DCG_HIDDEN; ++h) sum += w.output_weight[o][h] * hidden[h];
    out[o] = softsign(sum);
  }
  return {1.0f + 0.25f * out[0], 1.0f + 0.25f * out[1], 1.0f + 0.5f * out[2]};
}

}  // namespace dcg
