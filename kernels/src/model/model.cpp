// Model files without Python: a safetensors file is the length of a JSON header (8 bytes, little-endian), the header, and the
// tensors' bytes. The checks are those of deepcg/io/model_file.py.

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "model/json.hpp"
#include "model/sha256.hpp"
#include "setup/hierarchy.hpp"

namespace dcg {

namespace {

constexpr uint64_t kLongestHeader = 1 << 20, kLargestFile = 1 << 30;  // bytes

struct Span {
  double begin, end;
  std::vector<double> shape;
};

struct ModelFile {
  std::string path, data;  // of the tensors
  Json header, description;
  std::map<std::string, Span> tensors;

  explicit ModelFile(const char *name) : path(name) {
    struct stat status;
    std::ifstream stream(path, std::ios::binary);
    if (!stream || stat(name, &status) != 0 || !S_ISREG(status.st_mode)) fail("no such model file, or it cannot be read");
    const uint64_t size = static_cast<uint64_t>(status.st_size);
    unsigned char start[8] = {};
    stream.read(reinterpret_cast<char *>(start), sizeof start);
    uint64_t length = 0;
    for (int n = 7; n >= 0; --n) length = length << 8 | start[n];
    if (!stream || size < 8 || size > kLargestFile || length > std::min(kLongestHeader, size - 8)) fail("truncated or not a safetensors file");
    header = parse(read(stream, length), "truncated or not a safetensors file");
    check_description();
    find_tensors(static_cast<double>(size - 8 - length));
    data = read(stream, size - 8 - length);
    check_hash();
  }

  [[noreturn]] void fail(const std::string &why) const { throw std::invalid_argument(path + ": " + why); }

 private:
  std::string read(std::ifstream &stream, uint64_t size) const {
    std::string bytes(size, '\0');
    if (size && !stream.read(&bytes[0], static_cast<std::streamsize>(size))) fail("truncated or not a safetensors file");
    return bytes;
  }

  Json parse(const std::string &text, const char *otherwise) const {
    try {
      Json made = JsonParser::parse(text);
      if (made.kind == Json::kObject) return made;
    } catch (const std::invalid_argument &) {
    }
    fail(otherwise);
  }

  void check_description() {
    description = parse(header["__metadata__"]["deepcg"].text, "a safetensors file, but not a deepcg model (no description in it)");
    const Json &version = description["version"], &dimension = description["dimension"];
    if (description["format"].text != "deepcg-model" || !version.is_count() || version.number < 1 || version.number > DCG_MODEL_FORMAT)
      fail("not of a format that this deepcg reads (\"deepcg-model\" up to version " + std::to_string(DCG_MODEL_FORMAT) + ")");
    for (const char *key : {"architecture", "dimension", "sizes", "normalisation", "training", "self_test", "hash"})
      if (!description.has(key)) fail(std::string("its description lacks ") + key);
    bool fits = dimension.is_count() && (dimension.number == 2 || dimension.number == 3);
    for (const char *key : {"architecture", "hash"}) fits = fits && description[key].kind == Json::kString;
    for (const char *key : {"sizes", "training", "self_test"}) fits = fits && description[key].kind == Json::kObject;
    if (!fits) fail("its description has members of a wrong kind");
  }

  // All tensors are in single precision and lie one after the other, and nothing follows.
  void find_tensors(double size) {
    std::vector<std::pair<double, double>> spans;
    for (const auto &[name, entry] : header.members) {
      if (name == "__metadata__") continue;
      const Json &shape = entry["shape"], &offsets = entry["data_offsets"];
      bool fits = entry["dtype"].text == "F32" && shape.kind == Json::kArray && offsets.kind == Json::kArray && offsets.items.size() == 2;
      double bytes = sizeof(float);
      Span span{};
      for (const Json &n : shape.items) fits = fits && n.is_count(), bytes *= n.number, span.shape.push_back(n.number);
      for (const Json &n : offsets.items) fits = fits && n.is_count();
      if (fits) span.begin = offsets.items[0].number, span.end = offsets.items[1].number;
      if (!fits || span.end - span.begin != bytes) fail("truncated or not a safetensors file (the entry of " + name + ")");
      spans.push_back({span.begin, span.end});
      tensors[name] = std::move(span);
    }
    std::sort(spans.begin(), spans.end());
    double end = 0.0;
    for (const auto &[first, last] : spans) {
      if (first != end) fail("truncated or not a safetensors file (its tensors leave gaps)");
      end = last;
    }
    if (end != size) fail("truncated or not a safetensors file (it does not end where its tensors do)");
  }

  // SHA-256 over names, shapes (as Python prints tuples) and values, in the order of the names.
  void check_hash() const {
    Sha256 hash;
    for (const auto &[name, span] : tensors) {
      std::string head = name + "(";
      for (size_t n = 0; n < span.shape.size(); ++n) head += (n ? ", " : "") + std::to_string(static_cast<int64_t>(span.shape[n]));
      head += span.shape.size() == 1 ? ",)" : ")";
      hash.add(head.data(), head.size());
      hash.add(data.data() + static_cast<size_t>(span.begin), static_cast<size_t>(span.end - span.begin));
    }
    if (hash.hexadecimal().substr(0, 16) != description["hash"].text)
      fail("its parameters do not match the hash in its description; get the file again");
  }
};

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
    const auto take = [&](const char *name, const std::vector<double> &shape, auto &to) {
      const auto found = file.tensors.find(name);
      if (found == file.tensors.end() || found->second.shape != shape)
        file.fail(std::string("its parameters are not those of a multilevel network (") + name + ")");
      std::memcpy(&to, file.data.data() + static_cast<size_t>(found->second.begin), sizeof to);
      const float *values = reinterpret_cast<const float *>(&to);
      if (!std::all_of(values, values + sizeof to / sizeof(float), [](float value) { return std::isfinite(value); }))
        file.fail(std::string(name) + ": finite values are needed");
    };
    take(model->format < 2 && file.tensors.count("codebook") ? "codebook" : "relaxation_table", {DCG_STENCIL_TYPES}, made.relaxation_table);
    take("hidden_bias", {DCG_HIDDEN}, made.hidden_bias);
    take("hidden_weight", {DCG_HIDDEN, DCG_FEATURES}, made.hidden_weight);
    take("omega", {2, DCG_SWEEPS, 2}, made.omega);
    take("output_bias", {DCG_OUTPUTS}, made.output_bias);
    take("output_weight", {DCG_OUTPUTS, DCG_HIDDEN}, made.output_weight);
    take("sweeps", {DCG_LEVELS}, sweeps);
    if (file.tensors.size() != 7) file.fail("its parameters are not those of a multilevel network (there are more)");
    for (int l = 0; l < DCG_LEVELS; ++l) {
      if (!(sweeps[l] >= 1 && sweeps[l] <= DCG_SWEEPS && sweeps[l] == std::floor(sweeps[l]))) file.fail("sweeps: whole numbers from 1 to 4 are needed");
      made.sweeps[l] = static_cast<int32_t>(sweeps[l]);
    }
    made.local = 1, made.rough = DCG_ROUGH;
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
    parameters->rough = DCG_ROUGH;
    for (int l = 0; l < DCG_LEVELS; ++l) parameters->sweeps[l] = std::min(l + 2, int{DCG_SWEEPS});
    for (auto &level : parameters->omega)
      for (auto &sweep : level) std::fill(sweep, sweep + 2, 1.2f);
    std::fill(parameters->relaxation_table, parameters->relaxation_table + DCG_STENCIL_TYPES, 1.0f);
  });
}
