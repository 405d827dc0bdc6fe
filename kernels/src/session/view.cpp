// What a session says of itself.

#include <omp.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "core/error.hpp"
#include "session/session.hpp"

using namespace dcg;

namespace {

class Text {
 public:
  __attribute__((format(printf, 2, 3))) void add(const char *format, ...) {
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    text_ += line;
  }
  const std::string &all() const { return text_; }

 private:
  std::string text_;
};

// Sizes along z, y, x as users name them: x first, in as many dimensions as the grid has.
template <class Count>
std::string sizes(int dim, const Count n[3]) {
  std::string text = std::to_string(n[2]);
  if (dim == 3) text += " x " + std::to_string(n[1]);
  if (dim > 1) text += " x " + std::to_string(n[0]);
  return text;
}

// As PETSc prints numbers: with a point, so that they are told from counts.
std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%g", value);
  return std::strpbrk(text, ".e") ? text : std::string(text) + ".";
}

// Collective: the null space is found where nothing solved yet.
std::string definiteness(dcg_solver &s) {
  s.prepare_solve();
  const std::string sign = s.reading->facts().sign > 0 ? "positive" : "negative";
  const dcg_operator &op = s.reading->op();
  double negative = op.shift && std::any_of(op.shift, op.shift + s.reading->placement().cells(), [](double v) { return v < 0.0; });
  if (s.messages) negative = s.ranks()->maximum(negative);
  if (negative) return sign + " on its diagonal, not known to be definite";
  if (s.null_space->empty()) return sign + " definite";
  return sign + " semi-definite, singular on " + std::to_string(s.null_space->count()) + " component(s)";
}

void view_matrix(dcg_solver &s, Text &text) {
  const dcg_matrix_result &f = s.reading->facts();
  const int32_t alone[3] = {1, 1, 1};
  const std::string &source = s.settings.source;
  text.add("grid: %s from %s, on %s ranks\n", sizes(s.dim(), s.reading->placement().shape).c_str(),
           !source.empty() ? source.c_str() : s.by_rows ? s.grid.source : "an operator",
           sizes(s.dim(), s.messages ? s.messages->functions().ranks : alone).c_str());
  text.add("matrix: %lld unknowns, %lld rows diagonal only (%lld couplings to them dropped), %lld rows zero, %s; periodic: %s%s%s%s\n",
           static_cast<long long>(f.unknowns), static_cast<long long>(f.diagonal), static_cast<long long>(f.dropped),
           static_cast<long long>(f.empty), definiteness(s).c_str(), f.periodic & 4 ? "x" : "", f.periodic & 2 ? "y" : "",
           f.periodic & 1 ? (s.dim() == 2 ? "y" : "z") : "", f.periodic ? "" : "no");
  if (f.unit > 0.0) text.add("weights: all faces %s\n", number(f.unit).c_str());
  else text.add("weights: one per face%s\n", f.shifted ? ", with a shift" : "");
}

void view_levels(dcg_solver &s, Text &text) {
  int32_t levels;
  int64_t bytes, table[5 * DCG_LEVELS * 2];
  const char *name;
  pass_on(dcg_multilevel_info(s.levels, &levels, &bytes, 2 * DCG_LEVELS, table, &name));
  text.add("levels: %d\n", levels);
  for (int l = 0; l < std::min<int>(levels, 2 * DCG_LEVELS); ++l)
    text.add("  %s: %lld unknowns, %lld of them beside another in their cell\n", sizes(s.dim(), table + 5 * l).c_str(),
             static_cast<long long>(table[5 * l + 3]), static_cast<long long>(table[5 * l + 4]));
  text.add("precision: single inside, double outside; backend: cpu (%s), %d thread(s) a rank\n", name,
           s.settings.threads ? static_cast<int>(s.settings.threads) : omp_get_max_threads());
  if (s.exchanges)
    text.add("messages: %lld exchanges a cycle, in which a rank receives at most %lld bytes\n", static_cast<long long>(s.exchanges),
             static_cast<long long>(s.bytes));
  double all = static_cast<double>(bytes + s.reading->bytes()) + 8.0 * static_cast<double>(s.r.capacity() + s.z.capacity() + s.rhs.capacity());
  if (s.messages) all = s.ranks()->allreduce(all);
  text.add("memory: %.1f MB on all ranks\n", all / 1e6);
}

}  // namespace

extern "C" int dcg_solver_view(dcg_solver *solver, char *text, int64_t size) {
  return guarded([&] {
    require(solver && text && size > 0, "solver and text must not be NULL, size at least 1");
    Text lines;
    if (!solver->ready) {
      lines.add("model: %s; not set up yet\n", solver->settings.model.c_str());
    } else {
      const dcg_model &m = solver->model;
      lines.add("model: %s%s%s%s\n", m.name, m.hash[0] ? ", hash " : "", m.hash, m.hash[0] ? "" : " (classical parameters)");
      if (m.format && m.format < DCG_MODEL_FORMAT)
        lines.add("  its file is of format %d; deepcg info FILE --rewrite makes it one of format %d\n", int(m.format), int{DCG_MODEL_FORMAT});
      view_matrix(*solver, lines);
      if (solver->levels) view_levels(*solver, lines);
    }
    std::snprintf(text, static_cast<size_t>(size), "%s", lines.all().c_str());
  });
}
