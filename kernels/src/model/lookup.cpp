#include "model/lookup.hpp"

#include <dlfcn.h>
#include <sys/stat.h>

#include <cstdio>
#include <fstream>

#include "core/error.hpp"

namespace dcg {

namespace {

bool is_folder(const std::string &path) {
  struct stat found;
  return stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

bool is_file(const std::string &path) { return !is_folder(path) && std::ifstream(path).good(); }

}  // namespace

std::string shipped_models() {
  Dl_info info;
  std::string here = dladdr(reinterpret_cast<void *>(&dcg_abi_version), &info) && info.dli_fname ? info.dli_fname : "";
  const size_t slash = here.rfind('/');
  here = slash == std::string::npos ? "." : here.substr(0, slash);
  const std::string beside = here + "/models";
  return is_folder(beside) ? beside : here + "/../share/deepcg/models";
}

bool find_model(const std::string &name, const std::string &folder, int dim, dcg_parameters &parameters, dcg_model &model) {
  const int of_model = dim < 3 ? 2 : 3;
  model = {};
  if (name == "multigrid") {
    pass_on(dcg_parameters_classical(&parameters));
    std::snprintf(model.name, sizeof model.name, "multigrid");
    model.dimension = of_model;
    return true;
  }
  const std::string stem = (folder.empty() ? shipped_models() : folder) + "/" + (name == "auto" ? "multilevel" : name);
  const std::string last = stem + "-" + std::to_string(of_model) + "d.safetensors";
  std::string found;
  for (const std::string &file : {name == "auto" ? last : name, stem + ".safetensors", last})
    if (found.empty() && is_file(file)) found = file;
  if (found.empty())
    throw std::invalid_argument("model: " + name + ": neither a file nor a shipped model (looked for " + last +
                                " last); give a model file, multigrid or auto");
  const int code = dcg_parameters_read(found.c_str(), &parameters, &model);
  if (code != DCG_UNSUPPORTED) pass_on(code);
  if (model.dimension != of_model)
    throw std::invalid_argument("model: " + std::string(model.name) + " is a model for " + std::to_string(model.dimension) +
                                "-D grids and this one is " + std::to_string(dim) + "-D; give one for " + std::to_string(of_model) +
                                "-D, or auto");
  return code == DCG_OK;
}

}  // namespace dcg
