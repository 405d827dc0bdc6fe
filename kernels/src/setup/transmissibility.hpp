// Resistors in series between the middles of two blocks: the arithmetic of the coarse edges, for one face and for rows of them.
#pragma once

#include <cstdint>

namespace dcg {

struct Series {
  float conductance = 0.0f;      // of the coarse edge that the face adds to
  float low = 0.0f, high = 0.0f;  // how far the low and the high cell are towards the other block, times the conductance
};

// A face of weight w between a low and a high cell; `inside` is the weight of the edge from each into its own block along the same axis (0: a
// wall, which counts as an edge of weight w), `alone` whether the block ends with the cell.
inline Series in_series(float w, float inside_low, bool alone_low, float inside_high, bool alone_high) {
  const float low = alone_low ? 0.0f : 0.5f / (inside_low > 0.0f ? inside_low : w);
  const float high = alone_high ? 0.0f : 0.5f / (inside_high > 0.0f ? inside_high : w);
  const float g = w > 0.0f ? 1.0f / (low + 1.0f / w + high) : 0.0f;
  return w > 0.0f ? Series{g, g * g * low, g * g * high} : Series{};
}

struct Anchor {
  float conductance = 0.0f, held = 0.0f, dropped = 0.0f;
};

// A Dirichlet coupling of weight a, beyond the outer side of a cell where the block goes on inside (inside > 0), else in the block itself.
inline Anchor anchored(float a, float inside) {
  const float r = inside > 0.0f ? 0.5f / inside : 0.0f;
  const float g = a > 0.0f ? 1.0f / (r + 1.0f / a) : 0.0f;
  return {g, r > 0.0f ? g : 0.0f, g * g * r};
}

// The same over rows; null for the inside weights of cells that are alone.
inline void series_row(int64_t n, const float *w, const float *inside_low, const float *inside_high, float *__restrict g,
                       float *__restrict low, float *__restrict high) {
  const bool alone_low = !inside_low, alone_high = !inside_high;
  const float *in_low = alone_low ? w : inside_low, *in_high = alone_high ? w : inside_high;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const Series s = in_series(w[i], in_low[i], alone_low, in_high[i], alone_high);
    g[i] = s.conductance, low[i] = s.low, high[i] = s.high;
  }
}

}  // namespace dcg
