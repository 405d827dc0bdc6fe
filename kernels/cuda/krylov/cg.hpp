// Conjugate gradients with every scalar on the device: x, r and the direction p in double precision, z = M r in single, as on the
// CPU. The host runs ahead and looks only now and then: kernels after the end do nothing.
#pragma once

#include <algorithm>

#include "cuda/cycle/cycle.hpp"
#include "krylov/cg.hpp"

namespace dcg::cuda {

struct FineView {  // the user's operator in double precision
  Grid grid;
  double unit;  // weight of every face; 0: the coefficient varies
  const uint8_t *cells;             // no ghosts
  const uint8_t *stencil_type;      // constant coefficient
  const double *weight[3], *shift;  // variable coefficient; no ghosts

  DCG_BOTH int index(int k, int j, int i) const { return (k * grid.n[1] + j) * grid.n[2] + i; }

  // (A p) at a cell; for a constant coefficient without the factor `unit`
  DCG_BOTH double product(const double *p, int k, int j, int i) const {
    const int at = grid.at(k, j, i), n = index(k, j, i);
    const bool y = grid.n[1] > 1, z = grid.n[0] > 1;
    const double here = p[at], west = p[grid.below(2, at, i)], east = p[grid.above(2, at, i)];
    const double south = y ? p[grid.below(1, at, j)] : 0.0, north = y ? p[grid.above(1, at, j)] : 0.0;
    const double down = z ? p[grid.below(0, at, k)] : 0.0, up = z ? p[grid.above(0, at, k)] : 0.0;
    if (unit > 0.0) {
      const int c = stencil_type[at];
      return c ? cell::constant_product<double>(c & 7, here, west, east, south, north, down, up) : 0.0;
    }
    if (cells[n] != DCG_FLUID) return 0.0;
    const int row = k * grid.n[1] + j, face_x = n + row, face_y = n + k * grid.n[2], face_z = n;
    double sum = cell::outflow(weight[2][face_x], weight[2][face_x + 1], here, west, east);
    if (weight[1]) sum += cell::outflow(weight[1][face_y], weight[1][face_y + grid.n[2]], here, south, north);
    if (weight[0]) sum += cell::outflow(weight[0][face_z], weight[0][face_z + grid.n[1] * grid.n[2]], here, down, up);
    return shift ? sum + shift[n] * here : sum;
  }
};

using Scalars = CgRecurrence;

struct Load {  // b = scale r; r . r
  Grid grid;
  const Scalars *now;
  const double *r;
  float *b;
  DCG_BOTH double operator()(int k, int j, int i) const {
    const double value = r[(k * grid.n[1] + j) * grid.n[2] + i];
    b[grid.at(k, j, i)] = static_cast<float>(now->scale * value);
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
  double *p;
  DCG_BOTH void operator()(int k, int j, int i) const {
    const int at = grid.at(k, j, i);
    p[at] = cell::stepped<double>(z[at], now->beta, p[at]);
  }
};

struct Curvature {  // p . A p
  FineView fine;
  const double *p;
  DCG_BOTH double operator()(int k, int j, int i) const { return p[fine.grid.at(k, j, i)] * fine.product(p, k, j, i); }
};

struct Advance {  // x += alpha p, r -= alpha A p, b = scale r; r . r
  FineView fine;
  const Scalars *now;
  const double *p;
  double *x, *r;
  float *b;
  DCG_BOTH double operator()(int k, int j, int i) const {
    const int at = fine.grid.at(k, j, i), n = fine.index(k, j, i);
    const double alpha = now->alpha, step = fine.unit > 0.0 ? alpha * fine.unit : alpha;
    x[n] = cell::stepped(x[n], alpha, p[at]);
    const double next = cell::stepped_back(r[n], step, fine.product(p, k, j, i));
    r[n] = next;
    b[at] = static_cast<float>(now->scale * next);
    return next * next;
  }
};

// Gives a sum to the recurrence, by one thread.
struct Accept {
  CgSum which;
  Scalars *now;
  const double *partial;
  double factor;

  DCG_BOTH void operator()(const Block &block) const {
    const double sum = block.sum(Launcher::kSums, partial);
    block.once([&] { now->accept(which, which == CgSum::kCurvature ? sum * factor : sum); });
  }
};

struct Krylov {  // the iteration's own arrays on the device
  const Levels *levels;
  FineView fine;
  double *p, *partial;
  Scalars *now;
};

class DeviceSpace {
 public:
  DeviceSpace(const Krylov &krylov, Stream stream, double *x, double *r, const Scalars &begin)
      : krylov_(krylov), finest_(krylov.levels->views[0]), launcher_{stream, &krylov.now->stop}, x_(x), r_(r), seen_(begin) {
    copy(krylov.now, &begin, sizeof begin, stream);
    look_in(0);
  }

  void residual_square() { sum(Load{grid(), krylov_.now, r_, finest_.b}); }
  void load() {
    clear(krylov_.p, sizeof(double) * grid().size, launcher_.stream);
    residual_square();
  }
  void precondition() {
    cycle(launcher_, *krylov_.levels);
    sum(Slope{grid(), finest_.x, finest_.b});
  }
  void conjugate() {
    launcher_.cells(grid().extent(), Direction{grid(), krylov_.now, finest_.x, krylov_.p});
    sum(Curvature{krylov_.fine, krylov_.p});
  }
  void advance() { sum(Advance{krylov_.fine, krylov_.now, krylov_.p, x_, r_, finest_.b}); }

  void step(CgSum which, void (DeviceSpace::*pass)()) {
    (this->*pass)();
    const double unit = krylov_.fine.unit;
    launcher_.alone(Accept{which, krylov_.now, krylov_.partial, unit > 0.0 ? unit : 1.0});
  }

  // Once per iteration
  bool stopped() {
    if (ahead_-- > 0) return false;
    copy(&seen_, krylov_.now, sizeof seen_, launcher_.stream);
    look_in(1);
    return seen_.stopped();
  }
  const Scalars &scalars() const { return seen_; }  // at the last look

 private:
  static constexpr int64_t kAhead = 4;  // iterations between the host's looks; what runs on for nothing is kernels that return at once

  const Grid &grid() const { return krylov_.fine.grid; }
  template <class Body>
  void sum(const Body &body) const {
    launcher_.sum(grid().extent(), krylov_.partial, body);
  }
  void look_in(int64_t begun) { ahead_ = std::min(kAhead, seen_.maxiter - seen_.iterations) - begun; }

  const Krylov &krylov_;
  const LevelView &finest_;
  const Launcher launcher_;
  double *x_, *r_;
  Scalars seen_;
  int64_t ahead_ = 0;
};

}  // namespace dcg::cuda
