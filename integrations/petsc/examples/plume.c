static char help[] = "Buoyant flow past a moving ball: a pressure equation on a DMDA in every time step, for any KSP and PC.\n\
  -n N         cells along each axis (default 32)\n\
  -steps N     time steps (default 5)\n\
  -speed V     of the ball, in domain widths per unit of time (default 1)\n\n";

/* The box [0, 1]^3 has walls, but for its open top. Velocities live on the faces of cells (Harlow and Welch 1965). In every step buoyancy drives
 * the flow, the ball moves sideways and pushes the fluid, and the projection (Chorin 1968) makes the velocity free of divergence:
 *
 *   A p = -div u,  u -= grad p,   A = the 7-point finite-volume operator with unit weights
 *
 * A is assembled over all cells; the ball's have identity rows. Its pattern is the same in every step, its entries follow the ball. Nothing here
 * knows of deepcg: run with -dll_append .../libdeepcg_petsc.so -pc_type deepcg, or with -pc_type gamg, or ... */

#include <petscdmda.h>
#include <petscksp.h>
#include <petsctime.h>

typedef struct {
  DM        cells, faces; /* one value a cell; three a cell: the normal velocities of its low faces along x, y, z */
  PetscInt  n;
  PetscReal time, step, speed, radius;
} Flow;

typedef PetscScalar Velocity[3];

static PetscReal BallCentre(const Flow *flow, PetscReal time)
{
  return 0.5 + 0.2 * PetscSinReal(flow->speed * time / 0.2); /* to and fro along x, at most at `speed` */
}

static PetscBool InBall(const Flow *flow, PetscInt i, PetscInt j, PetscInt k)
{
  const PetscReal x = (i + 0.5) / flow->n - BallCentre(flow, flow->time), y = (j + 0.5) / flow->n - 0.5, z = (k + 0.5) / flow->n - 0.5;

  return (PetscBool)(x * x + y * y + z * z < flow->radius * flow->radius);
}

/* What lies beyond a side of a cell: 0 fluid, 1 something solid, 2 the open top. */
static int Beyond(const Flow *flow, PetscInt i, PetscInt j, PetscInt k)
{
  if (k >= flow->n) return 2;
  if (i < 0 || j < 0 || k < 0 || i >= flow->n || j >= flow->n) return 1;
  return InBall(flow, i, j, k) ? 1 : 0;
}

static const PetscInt SIDES[6][3] = {{-1, 0, 0}, {1, 0, 0}, {0, -1, 0}, {0, 1, 0}, {0, 0, -1}, {0, 0, 1}};

static PetscErrorCode Assemble(const Flow *flow, Mat A)
{
  DMDALocalInfo info;

  PetscFunctionBeginUser;
  PetscCall(DMDAGetLocalInfo(flow->cells, &info));
  for (PetscInt k = info.zs; k < info.zs + info.zm; ++k)
    for (PetscInt j = info.ys; j < info.ys + info.ym; ++j)
      for (PetscInt i = info.xs; i < info.xs + info.xm; ++i) {
        MatStencil      row = {.i = i, .j = j, .k = k}, columns[7];
        PetscScalar     values[7];
        PetscInt        count = 1;
        const PetscBool solid = InBall(flow, i, j, k);

        columns[0] = row;
        values[0]  = solid ? 1.0 : 0.0;
        for (int s = 0; s < 6; ++s) {
          const PetscInt ni = i + SIDES[s][0], nj = j + SIDES[s][1], nk = k + SIDES[s][2];
          const int      kind = Beyond(flow, ni, nj, nk);

          if (!solid && kind != 1) values[0] += 1.0;
          if (ni < 0 || nj < 0 || nk < 0 || ni >= flow->n || nj >= flow->n || nk >= flow->n) continue;
          columns[count]  = (MatStencil){.i = ni, .j = nj, .k = nk};
          values[count++] = !solid && kind == 0 ? -1.0 : 0.0; /* zeros keep the pattern */
        }
        PetscCall(MatSetValuesStencil(A, 1, &row, count, columns, values, INSERT_VALUES));
      }
  PetscCall(MatAssemblyBegin(A, MAT_FINAL_ASSEMBLY));
  PetscCall(MatAssemblyEnd(A, MAT_FINAL_ASSEMBLY));
  PetscFunctionReturn(0);
}

/* Buoyancy in a column above the floor; then what solid faces prescribe: nothing, or the ball's speed. Velocities are times the step over the
 * width of a cell, so that no factors are left in the equations. */
static PetscErrorCode Drive(const Flow *flow, Vec velocity)
{
  const PetscReal now = flow->time, scale = flow->step * flow->n;
  const PetscReal ball = scale * (BallCentre(flow, now) - BallCentre(flow, now - flow->step)) / flow->step;
  Velocity     ***u;
  DMDALocalInfo   info;

  PetscFunctionBeginUser;
  PetscCall(DMDAGetLocalInfo(flow->faces, &info));
  PetscCall(DMDAVecGetArray(flow->faces, velocity, &u));
  for (PetscInt k = info.zs; k < info.zs + info.zm; ++k)
    for (PetscInt j = info.ys; j < info.ys + info.ym; ++j)
      for (PetscInt i = info.xs; i < info.xs + info.xm; ++i) {
        const PetscReal x = (i + 0.5) / flow->n - 0.5, y = (j + 0.5) / flow->n - 0.5;
        const PetscBool here = (PetscBool)(k < flow->n && InBall(flow, i, j, k));

        u[k][j][i][2] += scale * flow->step * PetscExpReal(-(x * x + y * y) / 0.01);
        for (int a = 0; a < 3; ++a) {
          const PetscInt  li = i - (a == 0), lj = j - (a == 1), lk = k - (a == 2);
          const PetscBool outside = (PetscBool)(li < 0 || lj < 0 || lk < 0);
          const PetscBool beside  = (PetscBool)(!outside && InBall(flow, li, lj, lk));

          if (here || beside) u[k][j][i][a] = a == 0 ? ball : 0.0;
          if (outside) u[k][j][i][a] = 0.0;
        }
      }
  PetscCall(DMDAVecRestoreArray(flow->faces, velocity, &u));
  PetscFunctionReturn(0);
}

/* b = -div u. The velocities of the open top are those that let its cells' water out: unknown too, and 0 here. */
static PetscErrorCode RightHandSide(const Flow *flow, Vec velocity, Vec top, Vec b)
{
  Vec            local;
  Velocity    ***u;
  PetscScalar ***rhs, ***out;
  DMDALocalInfo  info;

  PetscFunctionBeginUser;
  PetscCall(DMGetLocalVector(flow->faces, &local));
  PetscCall(DMGlobalToLocal(flow->faces, velocity, INSERT_VALUES, local));
  PetscCall(DMDAGetLocalInfo(flow->cells, &info));
  PetscCall(DMDAVecGetArrayRead(flow->faces, local, &u));
  PetscCall(DMDAVecGetArray(flow->cells, b, &rhs));
  PetscCall(DMDAVecGetArrayRead(flow->cells, top, &out));
  for (PetscInt k = info.zs; k < info.zs + info.zm; ++k)
    for (PetscInt j = info.ys; j < info.ys + info.ym; ++j)
      for (PetscInt i = info.xs; i < info.xs + info.xm; ++i) {
        PetscScalar outflow = -u[k][j][i][0] - u[k][j][i][1] - u[k][j][i][2];

        if (i + 1 < flow->n) outflow += u[k][j][i + 1][0];
        if (j + 1 < flow->n) outflow += u[k][j + 1][i][1];
        outflow += k + 1 < flow->n ? u[k + 1][j][i][2] : out[k][j][i];
        rhs[k][j][i] = InBall(flow, i, j, k) ? 0.0 : -outflow;
      }
  PetscCall(DMDAVecRestoreArrayRead(flow->cells, top, &out));
  PetscCall(DMDAVecRestoreArray(flow->cells, b, &rhs));
  PetscCall(DMDAVecRestoreArrayRead(flow->faces, local, &u));
  PetscCall(DMRestoreLocalVector(flow->faces, &local));
  PetscFunctionReturn(0);
}

/* u -= grad p on faces between fluid cells and at the open top, where p = 0 beyond. */
static PetscErrorCode SubtractGradient(const Flow *flow, Vec pressure, Vec velocity, Vec top)
{
  Vec            local;
  Velocity    ***u;
  PetscScalar ***p, ***out;
  DMDALocalInfo  info;

  PetscFunctionBeginUser;
  PetscCall(DMGetLocalVector(flow->cells, &local));
  PetscCall(DMGlobalToLocal(flow->cells, pressure, INSERT_VALUES, local));
  PetscCall(DMDAGetLocalInfo(flow->cells, &info));
  PetscCall(DMDAVecGetArrayRead(flow->cells, local, &p));
  PetscCall(DMDAVecGetArray(flow->faces, velocity, &u));
  PetscCall(DMDAVecGetArray(flow->cells, top, &out));
  for (PetscInt k = info.zs; k < info.zs + info.zm; ++k)
    for (PetscInt j = info.ys; j < info.ys + info.ym; ++j)
      for (PetscInt i = info.xs; i < info.xs + info.xm; ++i) {
        if (InBall(flow, i, j, k)) continue;
        if (Beyond(flow, i - 1, j, k) == 0) u[k][j][i][0] -= p[k][j][i] - p[k][j][i - 1];
        if (Beyond(flow, i, j - 1, k) == 0) u[k][j][i][1] -= p[k][j][i] - p[k][j - 1][i];
        if (Beyond(flow, i, j, k - 1) == 0) u[k][j][i][2] -= p[k][j][i] - p[k - 1][j][i];
        if (k + 1 == flow->n) out[k][j][i] += p[k][j][i];
      }
  PetscCall(DMDAVecRestoreArray(flow->cells, top, &out));
  PetscCall(DMDAVecRestoreArray(flow->faces, velocity, &u));
  PetscCall(DMDAVecRestoreArrayRead(flow->cells, local, &p));
  PetscCall(DMRestoreLocalVector(flow->cells, &local));
  PetscFunctionReturn(0);
}

static PetscErrorCode Timed(PetscErrorCode (*action)(KSP, Vec, Vec), KSP ksp, Vec b, Vec x, PetscLogDouble *seconds)
{
  PetscLogDouble start, end;

  PetscFunctionBeginUser;
  PetscCall(PetscBarrier((PetscObject)ksp));
  PetscCall(PetscTime(&start));
  PetscCall((*action)(ksp, b, x));
  PetscCall(PetscBarrier((PetscObject)ksp));
  PetscCall(PetscTime(&end));
  *seconds = end - start;
  PetscFunctionReturn(0);
}

static PetscErrorCode SetUp(KSP ksp, Vec b, Vec x)
{
  PetscFunctionBeginUser;
  PetscCall(KSPSetUp(ksp));
  PetscCall(KSPSetUpOnBlocks(ksp));
  PetscFunctionReturn(0);
}

static PetscErrorCode Step(Flow *flow, KSP ksp, Mat A, Vec velocity, Vec top, Vec b, Vec p, PetscInt number)
{
  PetscLogDouble     setup, solve;
  PetscInt           iterations;
  KSPConvergedReason reason;
  PetscReal          before, after;

  PetscFunctionBeginUser;
  flow->time += flow->step;
  PetscCall(Assemble(flow, A));
  PetscCall(Drive(flow, velocity));
  PetscCall(RightHandSide(flow, velocity, top, b));
  PetscCall(VecNorm(b, NORM_2, &before));
  PetscCall(KSPSetOperators(ksp, A, A));
  PetscCall(Timed(SetUp, ksp, b, p, &setup));
  PetscCall(Timed(KSPSolve, ksp, b, p, &solve));
  PetscCall(KSPGetIterationNumber(ksp, &iterations));
  PetscCall(KSPGetConvergedReason(ksp, &reason));
  PetscCall(SubtractGradient(flow, p, velocity, top));
  PetscCall(RightHandSide(flow, velocity, top, b)); /* the divergence that is left is the residual of the solve, evaluated anew */
  PetscCall(VecNorm(b, NORM_2, &after));
  PetscCall(PetscPrintf(
      PETSC_COMM_WORLD,
      "step %2" PetscInt_FMT ": %3" PetscInt_FMT " iterations (%s), set-up %.4f s, solve %.4f s, divergence %.3e -> %.3e (%.1e)\n", number,
      iterations, KSPConvergedReasons[reason], setup, solve, (double)before, (double)after, (double)(after / before)));
  PetscFunctionReturn(0);
}

int main(int argc, char **argv)
{
  Flow     flow  = {.n = 32, .step = 0.05, .speed = 1.0, .radius = 0.15};
  PetscInt steps = 5;
  KSP      ksp;
  Mat      A;
  Vec      velocity, top, b, p;

  PetscFunctionBeginUser;
  PetscCall(PetscInitialize(&argc, &argv, NULL, help));
  PetscCall(PetscOptionsGetInt(NULL, NULL, "-n", &flow.n, NULL));
  PetscCall(PetscOptionsGetInt(NULL, NULL, "-steps", &steps, NULL));
  PetscCall(PetscOptionsGetReal(NULL, NULL, "-speed", &flow.speed, NULL));
  PetscCall(DMDACreate3d(PETSC_COMM_WORLD, DM_BOUNDARY_NONE, DM_BOUNDARY_NONE, DM_BOUNDARY_NONE, DMDA_STENCIL_STAR, flow.n, flow.n, flow.n,
                         PETSC_DECIDE, PETSC_DECIDE, PETSC_DECIDE, 1, 1, NULL, NULL, NULL, &flow.cells));
  PetscCall(DMSetUp(flow.cells));
  PetscCall(DMDACreateCompatibleDMDA(flow.cells, 3, &flow.faces));
  PetscCall(DMCreateMatrix(flow.cells, &A));
  PetscCall(DMCreateGlobalVector(flow.cells, &b));
  PetscCall(VecDuplicate(b, &p));
  PetscCall(VecDuplicate(b, &top));
  PetscCall(DMCreateGlobalVector(flow.faces, &velocity));
  PetscCall(KSPCreate(PETSC_COMM_WORLD, &ksp));
  PetscCall(KSPSetDM(ksp, flow.cells));
  PetscCall(KSPSetDMActive(ksp, PETSC_FALSE)); /* the matrix is ours */
  PetscCall(KSPSetType(ksp, KSPCG));
  PetscCall(KSPSetNormType(ksp, KSP_NORM_UNPRECONDITIONED));
  PetscCall(KSPSetTolerances(ksp, 1e-6, PETSC_DEFAULT, PETSC_DEFAULT, PETSC_DEFAULT));
  PetscCall(KSPSetFromOptions(ksp));
  for (PetscInt n = 1; n <= steps; ++n) PetscCall(Step(&flow, ksp, A, velocity, top, b, p, n));
  PetscCall(KSPDestroy(&ksp));
  PetscCall(VecDestroy(&velocity));
  PetscCall(VecDestroy(&top));
  PetscCall(VecDestroy(&b));
  PetscCall(VecDestroy(&p));
  PetscCall(MatDestroy(&A));
  PetscCall(DMDestroy(&flow.faces));
  PetscCall(DMDestroy(&flow.cells));
  PetscCall(PetscFinalize());
  return 0;
}
