// The C interface of the multilevel network: set-up, one application, a whole solve.

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "core/checks.hpp"
#include "core/error.hpp"
#include "core/threads.hpp"
#include "distributed/distributed_hierarchy.hpp"
#include "krylov/team_fcg.hpp"
#include "setup/hierarchy.hpp"

using namespace dcg;

struct dcg_multilevel : Hierarchy {
  Cycle cycle;
  Field<double> direction;  // for conjugate gradients
  std::unique_ptr<DistributedHierarchy> distributed;  // then all of the above is unused
  bool usable = false;                                // the last set-up went through
};

namespace {

constexpr double kSmall = 1e-50;  // of r . z: from 1 over it on, or below it, single precision may not hold r

void set_up(dcg_multilevel &m) {
  m.set_up();
  fill(m.direction, m.levels[0]->box.size, 0.0, m.threads);
  m.cycle.prepare(m.levels, m.sparse_levels, m.parameters, 0, best_rows(), m.threads);
  m.usable = true;
}

void need_usable(const dcg_multilevel &m) { require(m.usable, "handle: its last set-up failed; dcg_multilevel_update makes it usable again"); }

}  // namespace

extern "C" int dcg_multilevel_create(const dcg_operator *op, const dcg_parameters *parameters, int32_t threads, dcg_multilevel **handle) {
  return guarded([&] {
    require(op && parameters && handle, "operator, parameters and handle must not be NULL");
    check(*op), check(*parameters);
    auto m = std::make_unique<dcg_multilevel>();
    m->op = *op, m->parameters = *parameters;
    m->threads = choose_threads(threads);
    set_up(*m);
    *handle = m.release();
  });
}

extern "C" int dcg_multilevel_create_on_ranks(const dcg_operator *op, const dcg_parameters *parameters, int32_t threads, const dcg_ranks *ranks,
                                              dcg_multilevel **handle) {
  return guarded([&] {
    require(op && parameters && ranks && handle, "operator, parameters, ranks and handle must not be NULL");
    check(*parameters);
    auto m = std::make_unique<dcg_multilevel>();
    m->usable = true;
    m->distributed = std::make_unique<DistributedHierarchy>(*ranks, *op, *parameters, choose_threads(threads));
    *handle = m.release();
  });
}

extern "C" int dcg_multilevel_update(dcg_multilevel *handle, const dcg_operator *op) {
  return guarded([&] {
    require(handle && op, "handle and operator must not be NULL");
    if (!handle->distributed) check(*op);
    handle->usable = false;
    if (handle->distributed) {
      handle->distributed->set_up(*op);
      handle->usable = true;
      return;
    }
    handle->op = *op;
    set_up(*handle);
  });
}

extern "C" void dcg_multilevel_destroy(dcg_multilevel *handle) { delete handle; }

extern "C" int dcg_multilevel_apply(dcg_multilevel *handle, const double *r, double *z) {
  return guarded([&] {
    require(handle && r && z, "handle, r and z must not be NULL");
    need_usable(*handle);
    if (handle->distributed) return handle->distributed->apply(r, z);
    Level &finest = *handle->levels[0];
    const auto apply = [&](double scale) {  // to scale r; r . z times the square of that, as single precision has it
      double product = 0.0;
      const double back = 1.0 / scale;
      with_team(handle->threads, [&](const Team &team) {
        load_residual(finest, r, scale, team);
        team.barrier();
        const double mine = handle->cycle.run(team);
        if (team.rank == 0) product = mine;
        const Box &box = finest.box;
        const Range rows = team.part(box.n[0] * box.n[1]);
        for (int64_t row = rows.begin; row < rows.end; ++row) {
          const float *x = finest.x.data() + box.at(row / box.n[1], row % box.n[1]);
          for (int64_t i = 0; i < box.n[2]; ++i) z[row * box.n[2] + i] = handle->inverse_scale * x[i] * back;
        }
      });
      return product;
    };
    const double product = apply(1.0);
    if (product > kSmall && product < 1.0 / kSmall) return;
    double largest = 0.0;  // r is 0, or beyond the range of single precision
    for (int64_t u = 0; u < count_cells(handle->op.shape); ++u)
      if (handle->op.cells[u] == DCG_FLUID) largest = std::max(largest, std::fabs(r[u]));
    if (largest > 0.0 && largest <= std::numeric_limits<double>::max()) apply(std::exp2(-std::clamp(std::ilogb(largest), -1000, 1000)));
  });
}

extern "C" int dcg_multilevel_cg(dcg_multilevel *handle, double *x, double *r, double target, int64_t maxiter, double *history,
                                 double *steps, int64_t *iterations, int32_t *result) {
  return guarded([&] {
    require(handle && x && r && iterations && result && ((history && steps) || maxiter == 0), "no argument may be NULL");
    need_usable(*handle);
    Outcome outcome;
    if (handle->distributed) {
      outcome = handle->distributed->conjugate_gradients(x, r, target, maxiter, history, steps);
      *iterations = outcome.iterations, *result = outcome.result;
      return;
    }
    Level &finest = *handle->levels[0];
    with_team(handle->threads, [&](const Team &team) {
      const Outcome mine = conjugate_gradients(handle->cycle, {handle->op, x, r}, finest, handle->direction, best_rows(),
                                               team, target, maxiter, history, steps);
      if (team.rank == 0) outcome = mine;
    });
    *iterations = outcome.iterations, *result = outcome.result;
  });
}

extern "C" int dcg_multilevel_directions(dcg_multilevel *handle, int32_t window, double *x, double *r, double target, int64_t maxiter,
                                         double *history, double *steps, int64_t *iterations, int32_t *result) {
  return guarded([&] {
    require(handle && x && r && iterations && result && ((history && steps) || maxiter == 0), "no argument may be NULL");
    require(window >= 0, "window: 0 or more is needed");
    need_usable(*handle);
    require(!handle->distributed, "handle: conjugate directions run on one rank only");
    Level &finest = *handle->levels[0];
    std::vector<Direction> kept(std::clamp<int64_t>(maxiter, 0, window) + 1);  // there will be no more
    Outcome outcome;
    with_team(handle->threads, [&](const Team &team) {
      const Outcome mine = flexible_conjugate_gradients(handle->cycle, {handle->op, x, r}, finest, kept,
                                                best_rows(), team, target, maxiter, history, steps);
      if (team.rank == 0) outcome = mine;
    });
    *iterations = outcome.iterations, *result = outcome.result;
  });
}

extern "C" int dcg_multilevel_info(const dcg_multilevel *handle, int32_t *levels, int64_t *bytes, int32_t capacity,
                                   int64_t *per_level, const char **name) {
  return guarded([&] {
    require(handle && levels && bytes && name && (per_level || capacity == 0), "no argument may be NULL");
    need_usable(*handle);
    *name = best_rows().name;
    std::vector<LevelSize> sizes;
    if (handle->distributed) {
      sizes = handle->distributed->sizes(), *bytes = handle->distributed->bytes();
    } else {
      *bytes = handle->cycle.bytes() + handle->direction.bytes();
      for (const auto &level : handle->levels) {
        *bytes += level->bytes();
        sizes.push_back({{level->box.n[0], level->box.n[1], level->box.n[2]}, level->unknowns, level->secondary});
      }
      for (const SparseLevel *level : handle->sparse_levels) {
        *bytes += level->bytes();
        sizes.push_back({{level->n[0], level->n[1], level->n[2]}, level->unknowns, 0});
      }
    }
    *levels = static_cast<int32_t>(sizes.size());
    for (int32_t l = 0; l < std::min(*levels, capacity); ++l) {
      std::copy(sizes[l].n, sizes[l].n + 3, per_level + 5 * l);
      per_level[5 * l + 3] = sizes[l].unknowns, per_level[5 * l + 4] = sizes[l].secondary;
    }
  });
}

extern "C" int dcg_multilevel_vector(const dcg_multilevel *handle, int32_t level, int32_t what, float *values) {
  return guarded([&] {
    require(handle && values, "handle and values must not be NULL");
    need_usable(*handle);
    require(!handle->distributed, "handle: the levels of a network on many ranks are not to be had");
    require(level >= 0 && level < static_cast<int32_t>(handle->levels.size()), "level: there is no such level");
    const Level &l = *handle->levels[level];
    const Field<float> *fields[DCG_LEVEL_VECTORS] = {};
    fields[DCG_LEVEL_DIAGONAL] = &l.diagonal, fields[DCG_LEVEL_OMEGA_DINV] = &l.omega_dinv;
    for (int a = 0; a < 3; ++a) {
      fields[DCG_LEVEL_WEIGHT + a] = &l.weight[a];
      for (int half = 0; half < 2; ++half)
        fields[DCG_LEVEL_INTERP_PARENT + 2 * a + half] = &l.interp_parent[a][half], fields[DCG_LEVEL_INTERP_NEIGHBOUR + 2 * a + half] = &l.interp_neighbour[a][half];
    }
    require(what >= 0 && what < DCG_LEVEL_VECTORS && !fields[what]->empty(), "what: this level has no such vector");
    const Field<float> &f = *fields[what];
    for (int64_t k = 0; k < l.box.n[0]; ++k)
      for (int64_t j = 0; j < l.box.n[1]; ++j)
        for (int64_t i = 0; i < l.box.n[2]; ++i) *values++ = f[l.box.at(k, j, i)];
    for (int64_t e = 0; e < l.secondary; ++e) *values++ = f[l.box.size + e];
  });
}

namespace {

// The sparse level of this number, which counts from the finest level on.
const SparseLevel &sparse_level(const dcg_multilevel &m, int32_t level) {
  need_usable(m);
  require(!m.distributed, "handle: the levels of a network on many ranks are not to be had");
  const int64_t number = level - static_cast<int64_t>(m.levels.size());
  require(number >= 0 && number < static_cast<int64_t>(m.sparse_levels.size()), "level: there is no such sparse level");
  return *m.sparse_levels[number];
}

}  // namespace

extern "C" int dcg_multilevel_sparse_level(const dcg_multilevel *handle, int32_t level, dcg_sparse_level *out) {
  return guarded([&] {
    require(handle && out, "handle and out must not be NULL");
    const SparseLevel &l = sparse_level(*handle, level);
    *out = {l.unknowns, l.visits, l.cell.data(), l.start.data(), l.neighbour.data(), l.weight.data(), l.slack.data()};
  });
}

extern "C" int dcg_multilevel_parents(const dcg_multilevel *handle, int32_t level, int32_t *parents) {
  return guarded([&] {
    require(handle && parents, "handle and parents must not be NULL");
    sparse_level(*handle, level + 1);
    if (level + 1 > static_cast<int32_t>(handle->levels.size())) {
      const SparseLevel &l = sparse_level(*handle, level);
      std::copy_n(l.parent.data(), l.unknowns, parents);
      return;
    }
    const Level &l = *handle->levels.back();
    for (int64_t row = 0; row < l.box.n[0] * l.box.n[1]; ++row)
      parents = std::copy_n(&l.sparse_parent[l.box.at(row / l.box.n[1], row % l.box.n[1])], l.box.n[2], parents);
  });
}
