// A session's set-up: grid, matrix, model, levels.

#include "session/session.hpp"

#include <omp.h>

#include <chrono>
#include <cstdio>

#include "core/error.hpp"
#include "core/threads.hpp"
#include "model/lookup.hpp"

using namespace dcg;

namespace dcg {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

Threads::Threads(int64_t wanted) : before_(omp_get_max_threads()) {
  omp_set_num_threads(choose_threads(wanted));
}
Threads::~Threads() { omp_set_num_threads(before_); }

}  // namespace dcg

int32_t dcg_solver::dim() const { return by_rows ? grid.dim : reading->placement().shape[1] > 1 ? 3 : 2; }

Reading &dcg_solver::need_reading() const {
  require(reading != nullptr, "solver: it has no matrix yet; call dcg_solver_set_matrix first");
  return *reading;
}

void dcg_solver::need_idle() const {
  require(!solving, "solver: it is solving; its callbacks may read it, not change it nor solve with it: another session may, see dcg_solver_share");
}

void dcg_solver::prepare_solve() {
  if (solvable) return;
  box = std::make_shared<BoxOperator>(reading->op(), reading->placement(), messages.get(), reading->numbers());
  null_space = std::make_shared<NullSpace>();
  null_space->find(*box, messages.get());
  const dcg_operator &op = reading->op();
  norm_bound = 4.0 * (op.open >> 2 & 3 ? 3 : dim()) * op.unit;  // Gershgorin
  if (op.unit == 0.0) pass_on(dcg_norm_bound(&op, &norm_bound));
  if (ranks()) norm_bound = ranks()->maximum(norm_bound);
  inverse_diagonal.clear();
  solvable = true;
}

dcg_multilevel *dcg_solver::make_levels(const dcg_parameters &of) const {
  dcg_multilevel *made = nullptr;
  const auto wanted = static_cast<int32_t>(settings.threads);
  if (messages) {
    dcg_ranks given = messages->functions();
    if (settings.gather > 0) given.gather = settings.gather;
    pass_on(dcg_multilevel_create_on_ranks(&reading->op(), &of, wanted, &given, &made));
  } else {
    pass_on(dcg_multilevel_create(&reading->op(), &of, wanted, &made));
  }
  return made;
}

dcg_multilevel *dcg_solver::need_classical() {
  if (classical) return classical;
  dcg_parameters of;
  pass_on(dcg_parameters_classical(&of));
  return classical = make_levels(of);
}

void dcg_solver::drop_levels() {
  dcg_multilevel_destroy(levels);
  levels = nullptr, ready = false;
  exchanges = bytes = 0;
}

void dcg_solver::drop_classical() {
  dcg_multilevel_destroy(classical);
  classical = nullptr;
}

void dcg_solver::forget() {
  drop_levels();
  drop_classical();
  box.reset(), null_space.reset(), reading.reset();
  solvable = false;
}

void dcg_solver::read_model(int32_t of_dim, bool &in_python) {
  const int32_t kind = of_dim < 3 ? 2 : 3;
  in_python = false;
  if (model_name == settings.model && model_dim == kind) return;
  model_name.clear();
  if (!by_levels()) {
    model = {};
    std::snprintf(model.name, sizeof model.name, "%s", preconditioner.apply ? "the caller's own" : settings.model.c_str());
    return;
  }
  in_python = !find_model(settings.model, settings.models, of_dim, parameters, model);
  if (!in_python) model_name = settings.model, model_dim = kind;
}

void dcg_solver::set_up() {
  const Reading &read = need_reading();
  if (ready) return;
  const double started = now();
  bool in_python = false;
  read_model(dim(), in_python);
  require(!in_python, "model: it runs in Python only; auto, multigrid or a model file of the kind \"multilevel\" is needed");
  if (read.facts().unknowns == 0 || !by_levels()) {  // a diagonal matrix, or another preconditioner
    drop_levels();
  } else if (levels) {
    pass_on(dcg_multilevel_update(levels, &read.op()));
  } else {
    levels = make_levels(parameters);
  }
  ready = true;
  setup_seconds += now() - started;
}

extern "C" int dcg_solver_create(dcg_solver **solver) {
  return guarded([&] {
    require(solver, "solver must not be NULL");
    *solver = new dcg_solver;
  });
}

extern "C" void dcg_solver_destroy(dcg_solver *solver) {
  if (solver && solver->solving) solver->destroyed = true;
  else delete solver;
}

extern "C" int dcg_solver_set_option(dcg_solver *solver, const char *name, const char *value) {
  return guarded([&] {
    require(solver && name && value, "solver, name and value must not be NULL");
    solver->need_idle();
    const Settings before = solver->settings;
    solver->settings.set(name, value);
    const Settings &now = solver->settings;
    if (now.models != before.models) solver->model_name.clear();
    const bool placed = now.threads == before.threads && now.gather == before.gather;
    if (now.model != before.model || now.models != before.models || !placed) solver->drop_levels();
    if (!placed) solver->drop_classical();
  });
}

extern "C" int dcg_solver_set_grid(dcg_solver *solver, int32_t dim, const int64_t *shape, const uint8_t *cells) {
  return guarded([&] {
    require(solver, "solver must not be NULL");
    solver->need_idle();
    solver->grid.set_shape(dim, shape, cells);
    solver->forget();
  });
}

extern "C" int dcg_solver_set_coordinates(dcg_solver *solver, int32_t dim, int64_t rows, const double *centres) {
  return guarded([&] {
    require(solver && (centres || rows == 0), "solver and centres must not be NULL");
    solver->need_idle();
    solver->grid.set_coordinates(dim, rows, centres);
    solver->forget();
  });
}

extern "C" int dcg_solver_set_ranks(dcg_solver *solver, const dcg_ranks *ranks) {
  return guarded([&] {
    require(solver, "solver must not be NULL");
    solver->need_idle();
    solver->forget();
    solver->messages.reset();
    if (ranks) solver->messages = std::make_unique<Messages>(*ranks);
  });
}

extern "C" int dcg_solver_set_matrix(dcg_solver *solver, const dcg_csr *matrix, int32_t same_pattern) {
  int code = guarded([&] {
    require(solver && matrix, "solver and matrix must not be NULL");
    solver->need_idle();
    const double started = now();
    if (!solver->by_rows || solver->reading.use_count() > 1) solver->forget();
    solver->drop_classical();
    const bool again = same_pattern && solver->reading;
    if (!solver->reading) solver->reading = std::make_shared<Reading>();
    solver->by_rows = true, solver->ready = solver->solvable = false;
    const Threads threads(solver->settings.threads);
    solver->reading->read(*matrix, solver->grid, solver->settings, solver->messages.get(), again);
    solver->setup_seconds = now() - started;
  });
  if (code && solver && !solver->solving) solver->forget();
  return code;
}

extern "C" int dcg_solver_set_operator(dcg_solver *solver, const dcg_operator *op) {
  int code = guarded([&] {
    require(solver && op, "solver and operator must not be NULL");
    solver->need_idle();
    const double started = now();
    auto made = std::make_shared<Reading>();
    made->take(*op, solver->ranks());
    if (solver->by_rows || !solver->reading) solver->forget();
    solver->drop_classical();
    const bool flat = made->placement().shape[1] == 1;
    if (solver->reading && flat != (solver->dim() == 2)) solver->drop_levels();  // they have the other dimension's weights
    solver->reading = std::move(made);
    solver->by_rows = false, solver->ready = solver->solvable = false;
    solver->setup_seconds = now() - started;
  });
  if (code && solver && !solver->solving) solver->forget();
  return code;
}

extern "C" int dcg_solver_share(dcg_solver *solver, dcg_solver *other) {
  return guarded([&] {
    require(solver && other && solver != other, "solver and other must not be NULL, nor one");
    solver->need_idle();
    require(!solver->messages && !other->messages, "solver, other: sessions on one process only share a matrix");
    other->need_reading();
    other->prepare_solve();
    solver->drop_levels();
    solver->drop_classical();
    solver->grid = other->grid, solver->by_rows = other->by_rows;
    solver->reading = other->reading, solver->box = other->box, solver->null_space = other->null_space, solver->norm_bound = other->norm_bound;
    solver->inverse_diagonal.clear();
    solver->solvable = true, solver->setup_seconds = 0.0;
  });
}

extern "C" int dcg_solver_set_preconditioner(dcg_solver *solver, const dcg_preconditioner *preconditioner) {
  return guarded([&] {
    require(solver && (!preconditioner || preconditioner->apply), "solver and preconditioner.apply must not be NULL");
    solver->need_idle();
    solver->preconditioner = preconditioner ? *preconditioner : dcg_preconditioner{};
    solver->drop_levels();
    solver->model_name.clear();
  });
}

extern "C" int dcg_solver_set_fallback(dcg_solver *solver, const dcg_fallback *fallback) {
  return guarded([&] {
    require(solver && (!fallback || (fallback->name && fallback->set_up && fallback->apply)),
            "solver, and name, set_up and apply of fallback must not be NULL");
    solver->need_idle();
    solver->fallback = fallback ? *fallback : dcg_fallback{};
  });
}

extern "C" int dcg_solver_set_observer(dcg_solver *solver, const dcg_observer *observer) {
  return guarded([&] {
    require(solver, "solver must not be NULL");
    solver->need_idle();
    solver->observer = observer ? *observer : dcg_observer{};
  });
}

extern "C" int dcg_solver_set_up(dcg_solver *solver) {
  return guarded([&] {
    require(solver, "solver must not be NULL");
    solver->set_up();
  });
}

extern "C" int dcg_solver_model(dcg_solver *solver, int32_t dim, dcg_parameters *parameters, dcg_model *model) {
  return guarded([&] {
    bool in_python = false;
    require(solver && model, "solver and model must not be NULL");
    require(dim >= 1 && dim <= 3, "dim: 1, 2 or 3 is needed");
    solver->read_model(dim, in_python);
    *model = solver->model;
    if (parameters && !in_python) *parameters = solver->parameters;
    if (in_python) throw Unsupported(std::string(model->name) + ": architecture " + model->architecture + " runs in Python only");
  });
}

extern "C" int dcg_solver_read(const dcg_solver *solver, dcg_read *read) {
  return guarded([&] {
    require(solver && read, "solver and read must not be NULL");
    const Reading &reading = solver->need_reading();
    const LoneRows &lone = reading.lone();
    *read = {};
    read->facts = reading.facts(), read->op = reading.op();
    read->cell = reading.placement().cell_of_rows();
    read->diagonal = lone.diagonal(), read->alone = static_cast<int64_t>(lone.row.size());
    read->row = lone.row.data(), read->inverse = lone.inverse.data();
    if (!reading.scaling().empty()) read->row_scale = reading.scaling().row.data(), read->column_scale = reading.scaling().column.data();
    for (int a = 0; a < 3; ++a) read->widths[a] = solver->grid.widths[a].empty() ? nullptr : solver->grid.widths[a].data();
  });
}
