/* What -ksp_view prints of the preconditioner. */
#include <omp.h>
#include <stdio.h>

#include "deepcg_petsc.h"

/* Sizes along z, y, x as users name them: x first, in as many dimensions as the grid has. */
static const char *Sizes(PetscInt dim, int64_t z, int64_t y, int64_t x, char text[80])
{
  if (dim == 1) snprintf(text, 80, "%lld", (long long)x);
  else if (dim == 2) snprintf(text, 80, "%lld x %lld", (long long)x, (long long)z); /* a 2-D grid is (ny, 1, nx) */
  else snprintf(text, 80, "%lld x %lld x %lld", (long long)x, (long long)y, (long long)z);
  return text;
}

static PetscErrorCode ViewOperator(const PC_Deepcg *pd, PetscViewer viewer)
{
  const dcg_matrix_result *f = &pd->found;
  char                    text[80], more[80];

  PetscFunctionBegin;
  PetscCall(PetscViewerASCIIPrintf(viewer, "grid: %s from %s, on %s ranks\n",
                                   Sizes(pd->grid.dim, pd->grid.shape[0], pd->grid.shape[1], pd->grid.shape[2], text),
                                   pd->grid.source ? pd->grid.source : "earlier options",
                                   Sizes(pd->grid.dim, pd->grid.ranks[0], pd->grid.ranks[1], pd->grid.ranks[2], more)));
  PetscCall(PetscViewerASCIIPrintf(
      viewer, "matrix: %lld unknowns, %lld rows diagonal only (%lld couplings to them dropped), %s definite; periodic: %s%s%s%s\n",
      (long long)f->unknowns, (long long)f->diagonal, (long long)f->dropped, f->sign > 0 ? "positive" : "negative",
      f->periodic & 4 ? "x" : "", f->periodic & 2 ? "y" : "", f->periodic & 1 ? (pd->grid.dim == 2 ? "y" : "z") : "",
      f->periodic ? "" : "no"));
  if (f->unit > 0.0) PetscCall(PetscViewerASCIIPrintf(viewer, "weights: all faces %g\n", f->unit));
  else PetscCall(PetscViewerASCIIPrintf(viewer, "weights: one per face%s\n", f->shifted ? ", with a shift" : ""));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode ViewCycle(PC pc, PetscViewer viewer)
{
  PC_Deepcg  *pd = (PC_Deepcg *)pc->data;
  int32_t     levels;
  int64_t     bytes, table[5 * DCG_LEVELS * 2];
  const char *name;
  char        text[80];
  PetscReal   all;

  PetscFunctionBegin;
  if (!pd->cycle) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCallDeepcg(PETSC_COMM_SELF, dcg_multilevel_info(pd->cycle, &levels, &bytes, 2 * DCG_LEVELS, table, &name));
  all = (PetscReal)bytes;
  for (int a = 0; a < 3; ++a)
    if (pd->face[a]) all += sizeof(double) * (PetscReal)(pd->grid.count[0] * pd->grid.count[1] * pd->grid.count[2]);
  if (pd->shift) all += sizeof(double) * (PetscReal)(pd->grid.count[0] * pd->grid.count[1] * pd->grid.count[2]);
  if (pd->r) all += 2 * sizeof(double) * (PetscReal)(pd->grid.count[0] * pd->grid.count[1] * pd->grid.count[2]);
  all += 2.0 * (PetscReal)(pd->grid.count[0] * pd->grid.count[1] * pd->grid.count[2]);
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPIU_REAL, MPIU_SUM, PetscObjectComm((PetscObject)pc)));
  PetscCall(PetscViewerASCIIPrintf(viewer, "levels: %d\n", (int)levels));
  for (int l = 0; l < PetscMin(levels, 2 * DCG_LEVELS); ++l)
    PetscCall(PetscViewerASCIIPrintf(viewer, "  %s: %lld unknowns, %lld of them beside another in their cell\n",
                                     Sizes(pd->grid.dim, table[5 * l], table[5 * l + 1], table[5 * l + 2], text),
                                     (long long)table[5 * l + 3], (long long)table[5 * l + 4]));
  PetscCall(PetscViewerASCIIPrintf(viewer, "precision: single inside, double outside; backend: cpu (%s), %d thread(s) a rank\n", name,
                                   pd->threads ? (int)pd->threads : omp_get_max_threads()));
  if (pd->exchanges)
    PetscCall(PetscViewerASCIIPrintf(
        viewer, "messages: %" PetscInt_FMT " exchanges a cycle, in which a rank receives at most %" PetscInt_FMT " bytes\n", pd->exchanges,
        pd->bytes));
  PetscCall(PetscViewerASCIIPrintf(viewer, "memory: %.1f MB on all ranks\n", (double)(all / 1e6)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode PCView_Deepcg(PC pc, PetscViewer viewer)
{
  PC_Deepcg *pd = (PC_Deepcg *)pc->data;
  PetscBool  ascii;

  PetscFunctionBegin;
  PetscCall(PetscObjectTypeCompare((PetscObject)viewer, PETSCVIEWERASCII, &ascii));
  if (!ascii) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscViewerASCIIPushTab(viewer));
  if (pd->inner) {
    if (pd->why[0]) PetscCall(PetscViewerASCIIPrintf(viewer, "fallback, because: %s\n", pd->why));
    else PetscCall(PetscViewerASCIIPrintf(viewer, "model: %s (%s), in Python\n", pd->model.name, pd->model.hash));
    PetscCall(PCView(pd->inner, viewer));
  } else if (pc->setupcalled) {
    PetscCall(PetscViewerASCIIPrintf(viewer, "model: %s%s%s%s\n", pd->model.name, pd->model.hash[0] ? ", hash " : "", pd->model.hash,
                                     pd->model.hash[0] ? "" : " (classical weights)"));
    PetscCall(ViewOperator(pd, viewer));
    PetscCall(ViewCycle(pc, viewer));
  } else {
    PetscCall(PetscViewerASCIIPrintf(viewer, "model: %s; not set up yet\n", pd->name));
  }
  PetscCall(PetscViewerASCIIPopTab(viewer));
  PetscFunctionReturn(PETSC_SUCCESS);
}
