// Which file, and which parameters, the name of a model stands for.
#pragma once

#include <string>

#include "deepcg.h"

namespace dcg {

// The folder of the shipped models: models/ beside this library, or ../share/deepcg/models from there.
std::string shipped_models();

// The parameters of "auto" (the shipped network), "multigrid", a shipped model (NAME or NAME-2d, NAME-3d in the folder) or a file, for grids of
// `dim` dimensions. False where the model runs in Python only. Throws where there is none, or it is for other dimensions.
bool find_model(const std::string &name, const std::string &folder, int dim, dcg_parameters &parameters, dcg_model &model);

}  // namespace dcg
