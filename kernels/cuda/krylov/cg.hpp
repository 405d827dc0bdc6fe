// Conjugate gradients with every scalar on the device, as kernels/src/krylov/cg.cpp has them: x and r in double precision, z = M r and the
// direction p in single. The host runs ahead and looks only now and then: kernels after the end do nothing.
#pragma once

#include <cmath>

#include "cuda/cycle/cycle.hpp"

namespace dcg::cuda {

struct FineView {  // the user's operator in double precision
  Grid grid;
  double unit;
  const uint8_t *cells;             // no ghosts
  const uint8_t *code;              // unit
  const double *weight[3], *shift;  // not unit; no ghosts

  DCG_BOTH int index(int k, int j, int i) const { return (k * grid.n[1] + j) * grid.n[2] + i; }

  // (A p) at a cell; without the factor `unit` where that is what all weights are
  DCG_BOTH double product(const float *p, int k, int j, int i) const {
    const int at = grid.at(k, j, i), n = index(k, j, i);
    const bool y = grid.n[1] > 1, z = grid.n[0] > 1;
    const double here = p[at], west = p[grid.below(2, at, i)], east = p[grid.above(2, at, i)];
    const double south = y ? p[grid.below(1, at, j)] : 0.0f, north = y ? p[grid.above(1, at, j)] : 0.0f;
    const double down = z ? p[grid.below(0, at, k)] : 0.0f, up = z ? p[grid.above(0, at, k)] : 0.0f;
    if (unit > 0.0) {
      const int c = code[at];
      return c ? cell::unit_product<double>(c & 7, here, west, east, south, north, down, up) : 0.0;
    }
    if (cells[n] != 0) return 0.0;
    const int row = k * grid.n[1] + j, face_x = n + row, face_y = n + k * grid.n[2], face_z = n;
    double sum = cell::outflow(weight[2][face_x], weight[2][face_x + 1], here, west, east);
    if (weight[1]) sum += cell::outflow(weight[1][face_y], weight[1][face_y + grid.n[2]], here, south, north);
    if (weight[0]) sum += cell::outflow(weight[0][face_z], weight[0][face_z + grid.n[1] * grid.n[2]], here, down, up);
    return shift ? sum + shift[n] * here : sum;
  }
};

struct Scalars {
  double norm, inverse, target, rho, slope, curvature, alpha;
  float beta;
  int stop, result;
  int64_t iterations, maxiter;
};

struct Load {  // b = inverse r; r . r
  Grid grid;
  const Scalars *now;
  const double *r;
  float *b;
  DCG_BOTH double operator()(int k, int j, int i) const {
    const double value = r[(k * grid.n[1] + j) * grid.n[2] + i];
    b[grid.at(k, j, i)] = static_cast<float>(now->inverse * value);
    return value * value;
  }
};

struct Set {  // b = r
  Grid grid;
  const double *r;
  float *b;
  DCG_BOTH void operator()(int k, int j, int i) const {
    b[grid.at(k, j, i)] = static_cast<float>(r[(k * grid.n[1] + j) * grid.n[2] + i]);
  }
};

struct Store {  // z = scale x
  Grid grid;
  double scale;
  const float *x;
  double *z;
  DCG_BOTH void operator()(int k, int j, int i) const { z[(k * grid.n[1] + j) * grid.n[2] + i] = scale * x[grid.at(k, j, i)]; }
};

struct Slope {  // z . r
  Grid grid;
  const float *x, *b;
  DCG_BOTH double operator()(int k, int j, int i) const {
    const int at = grid.at(k, j, i);
    return static_cast<double>(x[at]) * b[at];
  }
};

struct Direction {  // p = z + beta p
  Grid grid;
  const Scalars *now;
  const float *z;
  float *p;
  DCG_BOTH void operator()(int k, int j, int i) const {
    const int at = grid.at(k, j, i);
    p[at] = cell::stepped(z[at], now->beta, p[at]);
  }
};

struct Curvature {  // p . A p
  FineView fine;
  const float *p;
  DCG_BOTH double operator()(int k, int j, int i) const { return p[fine.grid.at(k, j, i)] * fine.product(p, k, j, i); }
};

struct Advance {  // x += alpha p, r -= alpha A p, b = inverse r; r . r
  FineView fine;
  const Scalars *now;
  const float *p;
  double *x, *r;
  float *b;
  DCG_BOTH double operator()(int k, int j, int i) const {
    const int at = fine.grid.at(k, j, i), n = fine.index(k, j, i);
    const double alpha = now->alpha, step = fine.unit > 0.0 ? alpha * fine.unit : alpha;
    x[n] = cell::stepped<double>(x[n], alpha, p[at]);
    const double next = cell::stepped_back(r[n], step, fine.product(p, k, j, i));
    r[n] = next;
    b[at] = static_cast<float>(now->inverse * next);
    return next * next;
  }
};

// What follows from a sum, by one thread.
struct Decide {
  enum What { kStart, kSlope, kCurvature, kNorm } what;
  Scalars *now;
  const double *partial;
  double unit;
  double *history, *steps;

  DCG_BOTH void operator()(const Block &block) const {
    const double sum = block.sum(Launcher::kSums, partial);
    block.once([&] { decide(sum); });
  }

 private:
  DCG_BOTH static bool positive(double v) { return v > 0.0 && v <= 1.7976931348623157e308; }  // and finite
  DCG_BOTH void end(int result) const { now->result = result, now->stop = 1; }

  DCG_BOTH void decide(double sum) const {
    switch (what) {
      case kStart:
        now->norm = std::sqrt(sum);
        now->inverse = now->norm > 0.0 ? 1.0 / now->norm : 1.0;  // keeps what the cycle sees near 1 at the start
        if (now->norm <= now->target) return end(0);
        if (now->maxiter == 0) end(1);
        return;
      case kSlope:
        if (!positive(sum)) return end(2);
        now->beta = now->rho > 0.0 ? static_cast<float>(sum / now->rho) : 0.0f;
        now->slope = sum;
        return;
      case kCurvature:
        now->curvature = sum * unit;
        if (!positive(now->curvature)) return end(2);
        now->alpha = now->slope / (now->inverse * now->curvature);
        return;
      case kNorm:
        now->norm = std::sqrt(sum), now->rho = now->slope;
        history[now->iterations] = now->norm;
        steps[2 * now->iterations] = now->alpha, steps[2 * now->iterations + 1] = now->beta;
        ++now->iterations;
        if (now->norm <= now->target) return end(0);
        if (now->iterations == now->maxiter) end(1);
    }
  }
};

struct Krylov {
  const Levels *levels;
  FineView fine;
  float *p;
  double *partial;
  Scalars *now;

  // As dcg_multilevel_cg; history and steps are on the device too. Returns the scalars at the end.
  Scalars run(Stream stream, double *x, double *r, double target, int64_t maxiter, double *history, double *steps) const {
    constexpr int64_t kLook = 4;  // iterations between the host's looks: what runs on for nothing is kernels that return at once
    const LevelView &finest = levels->views[0];
    const Extent all = fine.grid.extent();
    Scalars begin{};
    begin.inverse = 1.0, begin.target = target, begin.maxiter = maxiter;
    copy(now, &begin, sizeof begin, stream);
    const Launcher launcher{stream, &now->stop};
    const double unit = fine.unit > 0.0 ? fine.unit : 1.0;
    const auto decide = [&](Decide::What what) { launcher.alone(Decide{what, now, partial, unit, history, steps}); };

    clear(p, sizeof(float) * fine.grid.size, stream);
    launcher.sum(all, partial, Load{fine.grid, now, r, finest.b});
    decide(Decide::kStart);
    launcher.sum(all, partial, Load{fine.grid, now, r, finest.b});
    for (Scalars seen = begin;;) {
      const int64_t ahead = seen.iterations + kLook < maxiter ? kLook : maxiter - seen.iterations;
      for (int64_t n = 0; n < ahead; ++n) {
        cycle(launcher, *levels);
        launcher.sum(all, partial, Slope{fine.grid, finest.x, finest.b});
        decide(Decide::kSlope);
        launcher.cells(all, Direction{fine.grid, now, finest.x, p});
        launcher.sum(all, partial, Curvature{fine, p});
        decide(Decide::kCurvature);
        launcher.sum(all, partial, Advance{fine, now, p, x, r, finest.b});
        decide(Decide::kNorm);
      }
      copy(&seen, now, sizeof seen, stream);
      if (seen.stop) return seen;
    }
  }
};

}  // namespace dcg::cuda
