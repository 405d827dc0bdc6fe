#include "session/null_space.hpp"

#include <algorithm>
#include <cmath>

#include "core/cell_kinds.hpp"
#include "core/error.hpp"

namespace dcg {

namespace {

constexpr double kAnchored = -1.0;  // the label of a component that is not singular

// The operator of a box beyond whose seams lie walls.
struct Closed {
  dcg_operator op;
  std::vector<double> weights[3];

  explicit Closed(const BoxOperator &box) : op(box.local()) {
    for (const Seam &seam : box.seams()) {
      const int a = seam.side >> 1;
      op.open &= ~(1 << seam.side);
      if (op.unit > 0.0 || !op.weights[a]) continue;
      if (weights[a].empty()) {
        int64_t faces = 1;
        for (int b = 0; b < 3; ++b) faces *= op.shape[b] + (a == b);
        weights[a].assign(op.weights[a], op.weights[a] + faces);
      }
      weights[a][seam.face] = 0.0;
    }
    for (int a = 0; a < 3; ++a)
      if (!weights[a].empty()) op.weights[a] = weights[a].data();
  }
};

}  // namespace

void NullSpace::find(const BoxOperator &op, Messages *messages) {
  ranks_ = messages ? &messages->ranks() : nullptr;
  const Closed closed(op);
  int64_t runs = 0, components[2];
  pass_on(dcg_components(&closed.op, 0, nullptr, nullptr, &runs, components));
  first_.resize(runs), length_and_component_.resize(2 * runs);
  if (runs) pass_on(dcg_components(&closed.op, runs, first_.data(), length_and_component_.data(), &runs, components));
  if (ranks_) components[0] = join(op, components[0]);
  std::vector<double> sizes(components[0], 0.0);
  for (size_t n = 0; n < first_.size(); ++n) sizes[length_and_component_[2 * n + 1]] += static_cast<double>(length_and_component_[2 * n]);
  if (ranks_ && components[0]) ranks_->allreduce(sizes.data(), components[0]);
  sizes_.assign(sizes.begin(), sizes.end());
}

// Components of boxes that touch at a seam are one. Each takes the smallest label around it until none changes; kAnchored is the smallest.
int64_t NullSpace::join(const BoxOperator &op, int64_t count) {
  const int64_t cells = op.local().shape[0] * op.local().shape[1] * op.local().shape[2];
  std::vector<double> counts(ranks_->count, 0.0), label(count), of_cell(cells, kAnchored), beyond(op.seams().size());
  counts[ranks_->number] = static_cast<double>(count);
  ranks_->allreduce(counts.data(), ranks_->count);
  double first = 0.0, all = 0.0;
  for (int r = 0; r < ranks_->count; ++r) first += r < ranks_->number ? counts[r] : 0.0, all += counts[r];
  std::vector<int64_t> component(cells, -1);
  for (size_t n = 0; n < first_.size(); ++n)
    std::fill_n(component.begin() + first_[n], length_and_component_[2 * n], length_and_component_[2 * n + 1]);
  for (int64_t c = 0; c < count; ++c) label[c] = first + static_cast<double>(c);

  for (double changed = 1.0; changed > 0.0;) {
    for (int64_t u = 0; u < cells; ++u) of_cell[u] = component[u] < 0 ? kAnchored : label[component[u]];
    op.fetch(of_cell.data(), beyond.data());
    changed = 0.0;
    for (size_t s = 0; s < beyond.size(); ++s) {
      const Seam &seam = op.seams()[s];
      if (component[seam.cell] < 0 || seam.kind == kSolid || !(seam.weight > 0.0)) continue;
      double &mine = label[component[seam.cell]];
      const double there = seam.kind == kFluid ? beyond[s] : kAnchored;
      if (there < mine) mine = there, changed = 1.0;
    }
    changed = ranks_->allreduce(changed);
  }

  std::vector<double> number(static_cast<size_t>(all), 0.0);  // by label: from 1, of those that a component kept
  double kept = 0.0;
  for (int64_t c = 0; c < count; ++c) kept += label[c] == first + static_cast<double>(c);
  std::fill(counts.begin(), counts.end(), 0.0);
  counts[ranks_->number] = kept;
  ranks_->allreduce(counts.data(), ranks_->count);
  double next = 0.0, singular = 0.0;
  for (int r = 0; r < ranks_->count; ++r) next += r < ranks_->number ? counts[r] : 0.0, singular += counts[r];
  for (int64_t c = 0; c < count; ++c)
    if (label[c] == first + static_cast<double>(c)) number[static_cast<size_t>(label[c])] = ++next;
  if (all > 0.0) ranks_->allreduce(number.data(), static_cast<int64_t>(all));

  size_t runs = 0;
  for (size_t n = 0; n < first_.size(); ++n) {
    const double of = label[length_and_component_[2 * n + 1]];
    if (of < 0.0) continue;
    first_[runs] = first_[n], length_and_component_[2 * runs] = length_and_component_[2 * n];
    length_and_component_[2 * runs + 1] = static_cast<int64_t>(number[static_cast<size_t>(of)]) - 1;
    ++runs;
  }
  first_.resize(runs), length_and_component_.resize(2 * runs);
  return static_cast<int64_t>(singular);
}

double NullSpace::project(double *v) const {
  double removed = 0.0;
  if (empty()) return removed;
  if (!ranks_) {
    pass_on(dcg_project(static_cast<int64_t>(first_.size()), first_.data(), length_and_component_.data(), sizes_.data(),
                        static_cast<int64_t>(sizes_.size()), v, &removed));
    return removed;
  }
  std::vector<double> mean(sizes_.size(), 0.0);
  const auto for_runs = [&](auto &&body) {
    for (size_t n = 0; n < first_.size(); ++n)
      for (int64_t u = first_[n]; u < first_[n] + length_and_component_[2 * n]; ++u) body(v[u], mean[length_and_component_[2 * n + 1]]);
  };
  for_runs([](double value, double &sum) { sum += value; });
  ranks_->allreduce(mean.data(), static_cast<int64_t>(mean.size()));
  for (size_t c = 0; c < mean.size(); ++c) {
    mean[c] /= static_cast<double>(sizes_[c]);
    removed += static_cast<double>(sizes_[c]) * mean[c] * mean[c];
  }
  for_runs([](double &value, double of) { value -= of; });
  return std::sqrt(removed);
}

std::vector<bool> NullSpace::mask(int64_t cells) const {
  std::vector<bool> member(cells, false);
  for (size_t n = 0; n < first_.size(); ++n) std::fill_n(member.begin() + first_[n], length_and_component_[2 * n], true);
  return member;
}

}  // namespace dcg
