// The C interface of the CUDA kernels. With nvcc this is the whole device side; as C++ it is the same on the host (cuda/core/launch.hpp).

#include "deepcg_cuda.h"

#include <limits>
#include <tuple>

#include "core/threads.hpp"
#include "cuda/krylov/residual.hpp"
#include "cuda/setup/upload.hpp"

using namespace dcg;
using namespace dcg::cuda;

struct dcg_cuda {
  dcg_parameters parameters;
  int threads;
  std::string name;
  double inverse_scale;
  Arena arena;
  Levels levels;
  Krylov krylov;
  Arena components;
  RunsView runs;
};

namespace {

FineView fine_view(const dcg_operator &op, const LevelView &finest, Arena &arena) {
  FineView fine{};
  fine.grid = finest.grid, fine.unit = op.unit, fine.stencil_type = finest.stencil_type;
  const int64_t cells = op.shape[0] * op.shape[1] * op.shape[2];
  fine.cells = arena.upload(op.cells, cells);
  if (op.unit > 0.0) return fine;
  for (int a = 0; a < 3; ++a)
    if (op.weights[a]) fine.weight[a] = arena.upload(op.weights[a], cells / op.shape[a] * (op.shape[a] + 1));
  if (op.shift) fine.shift = arena.upload(op.shift, cells);
  return fine;
}

void set_up(dcg_cuda &m, const dcg_operator &op) {
  check(op);
  require(devices() > 0, "no CUDA device is there");
  Hierarchy hierarchy;
  hierarchy.op = op, hierarchy.parameters = m.parameters, hierarchy.threads = m.threads;
  hierarchy.parameters.rough = std::numeric_limits<float>::infinity();  // the device's cycle has grid levels only
  hierarchy.set_up();
  m.components = Arena(), m.runs = RunsView{};
  m.arena = Arena(), m.levels = Levels();  // before the new arrays: both at once might not fit
  m.levels = Upload(hierarchy, m.arena).run();
  m.inverse_scale = hierarchy.inverse_scale;
  m.krylov.levels = &m.levels;
  m.krylov.fine = fine_view(op, m.levels.views[0], m.arena);
  m.krylov.p = m.arena.zeros<double>(m.levels.views[0].grid.size);
  m.krylov.partial = m.arena.zeros<double>(Launcher::kSums);
  m.krylov.now = m.arena.zeros<Scalars>(1);
  wait({});  // vectors may be used on any stream from here on
}

}  // namespace

extern "C" int dcg_cuda_abi_version(void) { return DCG_CUDA_ABI_VERSION; }

extern "C" const char *dcg_cuda_last_error(void) { return last_error(); }

extern "C" int dcg_cuda_devices(int32_t *count) {
  return guarded([&] {
    require(count, "count must not be NULL");
    *count = devices();
  });
}

extern "C" int dcg_cuda_create(const dcg_operator *op, const dcg_parameters *parameters, int32_t threads, dcg_cuda **handle) {
  return guarded([&] {
    require(op && parameters && handle, "operator, parameters and handle must not be NULL");
    check(*parameters);
    auto m = std::make_unique<dcg_cuda>();
    m->parameters = *parameters;
    m->threads = choose_threads(threads);
    set_up(*m, *op);
    m->name = device_name();
    *handle = m.release();
  });
}

extern "C" int dcg_cuda_update(dcg_cuda *handle, const dcg_operator *op) {
  return guarded([&] {
    require(handle && op, "handle and operator must not be NULL");
    set_up(*handle, *op);
  });
}

extern "C" void dcg_cuda_destroy(dcg_cuda *handle) { delete handle; }

extern "C" int dcg_cuda_apply(dcg_cuda *handle, const double *r, double *z, void *stream) {
  return guarded([&] {
    require(handle && r && z, "handle, r and z must not be NULL");
    const Launcher launcher{static_cast<Stream>(stream)};
    const LevelView &finest = handle->levels.views[0];
    const Extent all = finest.grid.extent();
    launcher.cells(all, Set{finest.grid, r, finest.b});
    cycle(launcher, handle->levels);
    launcher.cells(all, Store{finest.grid, handle->inverse_scale, finest.x, z});
  });
}

extern "C" int dcg_cuda_cg(dcg_cuda *handle, double *x, double *r, double target, int64_t maxiter, double *history, double *steps,
                           int64_t *iterations, int32_t *result, void *stream) {
  return guarded([&] {
    require(handle && x && r && iterations && result && ((history && steps) || maxiter == 0), "no argument may be NULL");
    require(maxiter >= 0, "maxiter must not be negative");
    Arena arena;
    double *records = arena.zeros<double>(3 * maxiter);
    const Stream on = static_cast<Stream>(stream);
    wait({});
    Scalars begin;
    begin.target = target, begin.maxiter = maxiter, begin.history = records, begin.steps = records + maxiter;
    DeviceSpace space(handle->krylov, on, x, r, begin);
    conjugate_gradients(space);
    const Scalars &end = space.scalars();
    if (end.iterations > 0) {
      copy(history, records, sizeof(double) * end.iterations, on);
      copy(steps, records + maxiter, 2 * sizeof(double) * end.iterations, on);
    }
    *iterations = end.iterations, *result = end.result;
  });
}

extern "C" int dcg_cuda_set_components(dcg_cuda *handle, int64_t runs, const int64_t *first, const int64_t *length_and_component,
                                       int64_t components) {
  return guarded([&] {
    require(handle && ((first && length_and_component) || runs == 0), "no argument may be NULL");
    handle->components = Arena();
    handle->runs = upload_runs(handle->components, runs, first, length_and_component, components);
    wait({});
  });
}

extern "C" int dcg_cuda_residual(dcg_cuda *handle, const double *b, const double *x, double *r, double *norm, double *removed,
                                 void *stream) {
  return guarded([&] {
    require(handle && b && r && norm && removed && r != x, "no argument but x may be NULL, and r must not be x");
    const Krylov &k = handle->krylov;
    std::tie(*norm, *removed) = true_residual(k.fine, handle->runs, k.partial, &k.now->norm, b, x, r, static_cast<Stream>(stream));
  });
}

extern "C" int dcg_cuda_magnitude(dcg_cuda *handle, const double *b, const double *x, double *norm, void *stream) {
  return guarded([&] {
    require(handle && b && x && norm, "no argument may be NULL");
    const Krylov &k = handle->krylov;
    *norm = magnitude(k.fine, k.partial, &k.now->norm, b, x, static_cast<Stream>(stream));
  });
}

extern "C" int dcg_cuda_info(const dcg_cuda *handle, int32_t *levels, int32_t *small, int64_t *bytes, const char **name) {
  return guarded([&] {
    require(handle && levels && small && bytes && name, "no argument may be NULL");
    *levels = static_cast<int32_t>(handle->levels.views.size());
    *small = *levels - handle->levels.first_small;
    *bytes = handle->arena.bytes(), *name = handle->name.c_str();
  });
}

extern "C" int dcg_cuda_time(dcg_cuda *handle, int32_t what, int32_t repeats, double *seconds, int64_t *bytes) {
  return guarded([&] {
    require(handle && seconds && bytes && repeats > 0, "no argument may be NULL, and repeats must be positive");
    require(what >= DCG_CUDA_COPY && what <= DCG_CUDA_CYCLE, "what: there is no such measurement");
    constexpr int64_t kBuffer = int64_t{1} << 28;  // more than any cache holds
    Arena arena;
    const Launcher launcher;
    const LevelView &finest = handle->levels.views[0];
    const int64_t cells = finest.grid.extent().count();
    char *buffer = what == DCG_CUDA_COPY ? arena.zeros<char>(2 * kBuffer) : nullptr;
    *bytes = what == DCG_CUDA_COPY ? 2 * kBuffer : what == DCG_CUDA_SWEEP ? (finest.constant ? 26 : 64) * cells : 0;
    std::vector<double> times;
    for (int n = -1; n < repeats; ++n) {  // once to warm up
      const double one = seconds_of([&] {
        if (what == DCG_CUDA_COPY) copy_within(buffer + kBuffer, buffer, kBuffer, {});
        if (what == DCG_CUDA_CYCLE) cycle(launcher, handle->levels);
        if (what == DCG_CUDA_SWEEP)
          for (int p = 0; p < finest.passes; ++p) over(launcher, Relax<LevelView>{finest, 0, p, false});
      });
      if (n >= 0) times.push_back(one);
    }
    std::sort(times.begin(), times.end());
    *seconds = times[times.size() / 2];
  });
}

extern "C" int dcg_cuda_allocate(int64_t bytes, void **memory) {
  return guarded([&] {
    require(bytes > 0 && memory, "bytes must be positive and memory not NULL");
    *memory = allocate(static_cast<size_t>(bytes));
  });
}

extern "C" void dcg_cuda_free(void *memory) { release(memory); }

extern "C" int dcg_cuda_copy(void *to, const void *from, int64_t bytes, void *stream) {
  return guarded([&] {
    require(to && from && bytes >= 0, "to and from must not be NULL");
    copy(to, from, static_cast<size_t>(bytes), static_cast<Stream>(stream));
  });
}
