// Transmissibilities of coarse edges: half-transmissibilities in series between the middles of two blocks, for one face and for rows.
#pragma once

#include <cstdint>

namespace dcg {

struct FaceTransmissibility {
  float value = 0.0f;             // the face's share of the coarse edge's weight
  float low = 0.0f, high = 0.0f;  // value times the drop between the block's middle and the face, on the low and on the high side
};

// A face of weight w between a low and a high cell. `inside` is the weight of a cell's edge into its own block along the axis; 0 is a wall
// there, which counts as an edge of weight w. `alone`: the cell fills its block along the axis.
inline FaceTransmissibility face_transmissibility(float w, float inside_low, bool alone_low, float inside_high, bool alone_high) {
  const float low = alone_low ? 0.0f : 0.5f / (inside_low > 0.0f ? inside_low : w);
  const float high = alone_high ? 0.0f : 0.5f / (inside_high > 0.0f ? inside_high : w);
  const float g = w > 0.0f ? 1.0f / (low + 1.0f / w + high) : 0.0f;
  return w > 0.0f ? FaceTransmissibility{g, g * g * low, g * g * high} : FaceTransmissibility{};
}

struct DirichletTransmissibility {
  float value = 0.0f;
  float outer = 0.0f;    // value, where the fixed value lies beyond the block's outer side
  float dropped = 0.0f;  // value times the drop between the block's middle and the outer side
};

// A Dirichlet coupling of weight a. The fixed value lies beyond the block's outer side where the block goes on behind the cell (inside > 0),
// else in the block itself.
inline DirichletTransmissibility dirichlet_transmissibility(float a, float inside) {
  const float r = inside > 0.0f ? 0.5f / inside : 0.0f;
  const float g = a > 0.0f ? 1.0f / (r + 1.0f / a) : 0.0f;
  return {g, r > 0.0f ? g : 0.0f, g * g * r};
}

// Rows of faces; inside weights are null for cells that are alone.
inline void face_transmissibilities(int64_t n, const float *w, const float *inside_low, const float *inside_high, float *__restrict g,
                       float *__restrict low, float *__restrict high) {
  const bool alone_low = !inside_low, alone_high = !inside_high;
  const float *in_low = alone_low ? w : inside_low, *in_high = alone_high ? w : inside_high;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const FaceTransmissibility s = face_transmissibility(w[i], in_low[i], alone_low, in_high[i], alone_high);
    g[i] = s.value, low[i] = s.low, high[i] = s.high;
  }
}

}  // namespace dcg
