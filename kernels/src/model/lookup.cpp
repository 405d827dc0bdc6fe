#include "model/lookup.hpp"

#include <dlfcn.h>
#include <sys/stat.h>

#include <cstdio>
#include <fstream>

#include "core/error.hpp"

namespace dcg {

namespace {

bool is_folder(const std::string &path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool is_file(const std::string &path) { return !is_folder(path) && std::ifstream(path).good(); }

}  // namespace

std::string shipped_models() {
  Dl_info info;
  std::string here = dladdr(reinterpret_cast<void *>(&dcg_abi_version), &info) && info.dli_fname ? info.dli_fname : "";
  const size_t slash = here.rfind('/');
  here = slash == std::string::npos ? "." : here.substr(0, slash);
  const std::string models = here + "/models";
  return is_folder(models) ? models : here + "/../share/deepcg/models";
}

bool find_model(const std::string &name, const std::string &folder, int dim, dcg_parameters &parameters, dcg_model &model) {
  const int dimension = dim < 3 ? 2 : 3;
  model = {};
  if (name == "multigrid") {
    pass_on(dcg_parameters_classical(&parameters));
    std::snprintf(model.name, sizeof model.name, "multigrid");
    model.dimension = dimension;
    return true;
  }
  const std::string stem = (folder.empty() ? shipped_models() : folder) + "/" + (name == "auto" ? "multilevel" : name);
  const std::string last = stem + "-" + std::to_string(dimension) + "d.safetensors";
  std::string path;
  for (const std::string &file : {name == "auto" ? last : name, stem + ".safetensors", last})
    if (path.empty() && is_file(file)) path = file;
  if (path.empty())
    throw std::invalid_argument("model: " + name + ": neither a file nor a shipped model (looked for " + last +
                                " last); give a model file, multigrid or auto");
  const int code = dcg_parameters_read(path.c_str(), &parameters, &model);
  if (code != DCG_UNSUPPORTED) pass_on(code);
  if (model.dimension != dimension)
    throw std::invalid_argument("model: " + std::string(model.name) + " is a model for " + std::to_string(model.dimension) +
                                "-D grids and this one is " + std::to_string(dim) + "-D; give one for " + std::to_string(dimension) +
                                "-D, or auto");
  return code == DCG_OK;
}

}  // namespace dcg
