/* A program's own pressure equation, solved by deepcg: n x n x n cells, walls all round, values fixed on the side x = 0.
 *   cc -std=c99 poisson.c $(pkg-config --cflags --libs deepcg) -lm -o poisson && ./poisson 64
 * With -DINDEX=int64_t the rows' indices have 64 bits. */
#include <deepcg.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef INDEX
#define INDEX int32_t
#endif

static void must(int code)
{
  if (code) fprintf(stderr, "deepcg: %s\n", dcg_last_error()), exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
  const int64_t n = argc > 1 ? atoi(argv[1]) : 32, rows = n * n * n, shape[3] = {n, n, n}, step[3] = {n * n, n, 1};
  INDEX        *start = malloc((rows + 1) * sizeof *start), *column = malloc(7 * rows * sizeof *column), entries = 0;
  double       *value = malloc(7 * rows * sizeof *value), *b = malloc(rows * sizeof *b), *x = calloc(rows, sizeof *x), square = 0.0;
  dcg_csr       A = {.rows = rows, .index_bytes = sizeof(INDEX), .start = {start}, .column = {column}, .value = {value}};
  dcg_solver   *solver;
  dcg_result    result;

  for (int64_t i = start[0] = 0; i < rows; ++i) {
    const INDEX diagonal = entries++;
    column[diagonal] = i, value[diagonal] = i % n == 0 ? 2.0 : 0.0; /* half a cell away from the fixed value */
    for (int a = 0; a < 3; ++a)
      for (int s = -1; s <= 1; s += 2)
        if (i / step[a] % n + s >= 0 && i / step[a] % n + s < n) column[entries] = i + s * step[a], value[entries++] = -1.0, value[diagonal] += 1.0;
    start[i + 1] = entries, b[i] = sin(0.1 * i);
  }
  must(dcg_solver_create(&solver));
  must(dcg_solver_set_grid(solver, 3, shape, NULL));
  must(dcg_solver_set_option(solver, "rtol", "1e-8"));
  must(dcg_solver_set_matrix(solver, &A, 0));
  must(dcg_solver_solve(solver, b, x, &result));
  for (int64_t i = 0; i < rows; ++i) {
    for (INDEX e = start[i]; e < start[i + 1]; ++e) b[i] -= value[e] * x[column[e]];
    square += b[i] * b[i];
  }
  printf("%s: %d iterations, set-up %.2g s, solve %.2g s, |b - A x| / |b| = %.1e\n", result.text, (int)result.iterations, result.setup_seconds,
         result.solve_seconds, sqrt(square) / result.residuals[0]);
  dcg_solver_destroy(solver);
  free(start), free(column), free(value), free(b), free(x);
  return result.reason == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
