// Model files without Python: a safetensors file is the length of a JSON header (8 bytes, little-endian), the header, and the
// tensors' bytes. The checks are those of deepcg/io/model_file.py.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "core/error.hpp"
#include "model/json.hpp"
#include "model/sha256.hpp"
#include "setup/hierarchy.hpp"

namespace dcg {

namespace {

constexpr uint64_t kLongestHeader = 1 << 24;

struct ModelFile {
  std::string path, bytes;
  Json header, description;
  size_t data = 0;  // where the tensors begin

  explicit ModelFile(const char *name) : path(name) {
    std::ifstream stream(path, std::ios::binary);
    if (!stream) fail("no such model file, or it cannot be read");
    bytes.assign(std::istreambuf_iterator<char>(stream), {});
    uint64_t length = 0;
    for (int n = 7; n >= 0 && bytes.size() >= 8; --n) length = length << 8 | static_cast<unsigned char>(bytes[n]);
    if (bytes.size() < 8 || length > kLongestHeader || length > bytes.size() - 8) fail("truncated or not a safetensors file");
    data = 8 + length;
    try {
      header = JsonParser::parse(bytes.substr(8, length));
    } catch (const std::invalid_argument &) {
      fail("truncated or not a safetensors file");
    }
    try {
      description = JsonParser::parse(header["__metadata__"]["deepcg"].text);
    } catch (const std::invalid_argument &) {
      fail("a safetensors file, but not a deepcg model (no description in it)");
    }
    const Json &version = description["version"];
    if (description["format"].text != "deepcg-model" || version.kind != Json::kNumber || version.number > DCG_MODEL_FORMAT)
      fail("not of a format that this deepcg reads (\"deepcg-model\" up to version " + std::to_string(DCG_MODEL_FORMAT) + ")");
    for (const char *key : {"architecture", "dimension", "hash"})
      if (description[key].kind == Json::kNull) fail(std::string("its description lacks ") + key);
  }

  [[noreturn]] void fail(const std::string &why) const { throw std::invalid_argument(path + ": " + why); }

  // The bytes of a tensor of this shape in single precision.
  const char *tensor(const std::string &name, const std::vector<int64_t> &shape) const {
    const Json &entry = header[name];
    size_t size = sizeof(float);
    bool fits = entry["dtype"].text == "F32" && entry["shape"].items.size() == shape.size();
    for (size_t n = 0; fits && n < shape.size(); ++n) {
      fits = entry["shape"].items[n].number == static_cast<double>(shape[n]);
      size *= static_cast<size_t>(shape[n]);
    }
    const auto &offsets = entry["data_offsets"].items;
    fits = fits && offsets.size() == 2 && offsets[0].number >= 0 && offsets[1].number - offsets[0].number == static_cast<double>(size) &&
           offsets[1].number <= static_cast<double>(bytes.size() - data);
    if (!fits) fail("its parameters are not those of a multilevel network (" + name + "), or it is truncated");
    return bytes.data() + data + static_cast<size_t>(offsets[0].number);
  }
};

struct Tensor {
  const char *name;
  std::vector<int64_t> shape;
  void *to;  // floats
};

// SHA-256 over names, shapes (as Python prints tuples) and values.
void add_to_hash(Sha256 &hash, const Tensor &field, const char *bytes) {
  std::string head = std::string(field.name) + "(";
  size_t size = sizeof(float);
  for (size_t n = 0; n < field.shape.size(); ++n) {
    head += (n ? ", " : "") + std::to_string(field.shape[n]);
    size *= static_cast<size_t>(field.shape[n]);
  }
  head += field.shape.size() == 1 ? ",)" : ")";
  hash.add(head.data(), head.size());
  hash.add(bytes, size);
}

template <size_t N>
void copy_text(char (&to)[N], const std::string &text) {
  std::snprintf(to, N, "%s", text.c_str());
}

}  // namespace

}  // namespace dcg

extern "C" int dcg_parameters_read(const char *path, dcg_parameters *parameters, dcg_model *model) {
  using namespace dcg;
  return guarded([&] {
    require(path && parameters && model, "path, parameters and model must not be NULL");
    const ModelFile file(path);
    *model = {};
    copy_text(model->name, file.description["name"].text);
    copy_text(model->architecture, file.description["architecture"].text);
    copy_text(model->hash, file.description["hash"].text);
    model->dimension = static_cast<int32_t>(file.description["dimension"].number);
    model->format = static_cast<int32_t>(file.description["version"].number);
    if (std::strcmp(model->architecture, "multilevel") != 0)
      throw Unsupported(file.path + ": architecture " + model->architecture + " runs in Python only");
    dcg_parameters made{};
    float sweeps[DCG_LEVELS];
    const char *const table = model->format < 2 ? "codebook" : "relaxation_table";
    std::vector<Tensor> fields = {{table, {DCG_STENCIL_TYPES}, made.relaxation_table},
                                  {"hidden_bias", {DCG_HIDDEN}, made.hidden_bias},
                                  {"hidden_weight", {DCG_HIDDEN, DCG_FEATURES}, made.hidden_weight},
                                  {"omega", {2, DCG_SWEEPS, 2}, made.omega},
                                  {"output_bias", {DCG_OUTPUTS}, made.output_bias},
                                  {"output_weight", {DCG_OUTPUTS, DCG_HIDDEN}, made.output_weight},
                                  {"sweeps", {DCG_LEVELS}, sweeps}};
    // The hash goes by the order of the names.
    std::sort(fields.begin(), fields.end(), [](const Tensor &a, const Tensor &b) { return std::strcmp(a.name, b.name) < 0; });
    Sha256 hash;
    for (const Tensor &field : fields) {
      const char *bytes = file.tensor(field.name, field.shape);
      size_t size = sizeof(float);
      for (const int64_t n : field.shape) size *= static_cast<size_t>(n);
      std::memcpy(field.to, bytes, size);
      add_to_hash(hash, field, bytes);
    }
    if (hash.hexadecimal().substr(0, 16) != model->hash)
      file.fail("its parameters do not match the hash in its description; get the file again");
    for (int l = 0; l < DCG_LEVELS; ++l) made.sweeps[l] = static_cast<int32_t>(sweeps[l]);
    made.local = 1;
    try {
      check(made);
    } catch (const std::invalid_argument &error) {
      file.fail(error.what());
    }
    *parameters = made;
  });
}

extern "C" int dcg_parameters_classical(dcg_parameters *parameters) {
  return dcg::guarded([&] {
    dcg::require(parameters, "parameters must not be NULL");
    *parameters = {};
    for (int l = 0; l < DCG_LEVELS; ++l) parameters->sweeps[l] = std::min(l + 2, int{DCG_SWEEPS});
    for (auto &level : parameters->omega)
      for (auto &sweep : level) std::fill(sweep, sweep + 2, 1.2f);
    std::fill(parameters->relaxation_table, parameters->relaxation_table + DCG_STENCIL_TYPES, 1.0f);
  });
}
