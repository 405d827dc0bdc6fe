#include "setup/split.hpp"

#include <algorithm>

namespace dcg {

void Splitter::start(int m) {
  m_ = m;
  weight_.assign(m * m, 0.0);
  diagonal_.assign(m, 0.0), quotient_.assign(m, 0.0), partner_.assign(m, -1);
  root_.resize(m), part_.assign(m, -1), alive_.assign(m, 1);
  for (int u = 0; u < m; ++u) root_[u] = u;
}

void Splitter::look_for_partner(int u) {
  partner_[u] = -1, quotient_[u] = 0.0;
  for (int v = u + 1; v < m_; ++v) {
    if (!alive_[v]) continue;
    const double w = weight_[u * m_ + v];
    if (!(w > 0.0)) continue;
    const double q = w / std::min(diagonal_[u], diagonal_[v]);
    if (q > quotient_[u]) quotient_[u] = q, partner_[u] = v;
  }
}

int Splitter::merge(double threshold) {
  for (int u = 0; u < m_; ++u) look_for_partner(u);
  for (;;) {
    int u = -1;
    for (int p = 0; p < m_; ++p)
      if (alive_[p] && partner_[p] >= 0 && (u < 0 || quotient_[p] > quotient_[u])) u = p;
    if (u < 0 || quotient_[u] < threshold) break;
    const int v = partner_[u];
    alive_[v] = 0, diagonal_[u] += diagonal_[v];
    for (int p = 0; p < m_; ++p) {
      if (root_[p] == v) root_[p] = u;
      weight_[u * m_ + p] += weight_[v * m_ + p], weight_[p * m_ + u] = weight_[u * m_ + p];
    }
    weight_[u * m_ + u] = 0.0;
    look_for_partner(u);
    for (int p = 0; p < v; ++p) {
      if (!alive_[p] || p == u) continue;
      if (partner_[p] == u || partner_[p] == v) {
        look_for_partner(p);
      } else if (const double w = weight_[p * m_ + u]; p < u && w > 0.0) {  // the quotient with u may be the largest now
        const double q = w / std::min(diagonal_[p], diagonal_[u]);
        if (q > quotient_[p] || (q == quotient_[p] && u < partner_[p])) quotient_[p] = q, partner_[p] = u;
      }
    }
  }
  int parts = 0;
  for (int u = 0; u < m_; ++u) part_[u] = root_[u] == u ? parts++ : part_[root_[u]];
  return parts;
}

}  // namespace dcg
