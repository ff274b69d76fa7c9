#include "cli/hook_secrets.h"

#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cli/config_file.h"
#include "cli/secret_file.h"
#include "cli/spec_reader.h"
#include "cli/yaml_reader.h"
#include "scheduler/hook_message.h"

namespace midwatch::cli {
namespace {

constexpr char kVariable[] = "MIDWATCH_HOOK_SECRET";
constexpr char kDefault[] = "default";

using Keys = std::map<std::string, std::string>;

void ReadSecrets(const YAML::Node& node, Keys& keys, Complaints& complaints) {
  if (!node.IsMap()) {
    complaints.Add(node.Mark(), "secrets is no map; expected name: whsec_...");
    return;
  }
  for (const auto& entry : node) {
    const std::string name = entry.first.IsScalar() ? entry.first.Scalar() : "";
    if (!IsName(name)) {
      complaints.Add(entry.first.Mark(), "expected the name of a secret");
      continue;
    }
    std::optional<std::string> text =
        ReadText(entry.second, "a secret", complaints);
    if (!text) continue;
    absl::StatusOr<std::string> key = ParseHookSecret(*text);
    if (!key.ok()) {
      complaints.Add(
          entry.second.Mark(),
          absl::StrCat("secret '", name, "' is ", key.status().message()));
    } else if (!keys.emplace(name, *std::move(key)).second) {
      complaints.Add(entry.first.Mark(),
                     absl::StrCat("secret '", name, "' comes twice"));
    }
  }
}

absl::Status ReadSecretFile(const std::string& path, Keys& keys) {
  WarnIfOpenToAll(path);
  ASSIGN_OR_RETURN(std::string text, ReadConfigFile(path, "a file of secrets"));
  Complaints complaints(path);
  std::optional<YAML::Node> root =
      ParseYaml(text, absl::EndsWith(path, ".json"), complaints);
  if (root) {
    ReadMap(*root, "a file of secrets",
            {{"secrets",
              [&](const YAML::Node& n) { ReadSecrets(n, keys, complaints); },
              true}},
            complaints);
  }
  return complaints.ToStatus();
}

}  // namespace

absl::StatusOr<std::map<std::string, std::string>> LoadHookSecrets(
    const std::string& path) {
  Keys keys;
  if (!path.empty()) RETURN_IF_ERROR(ReadSecretFile(path, keys));
  const char* value = std::getenv(kVariable);
  if (value == nullptr || *value == '\0' || keys.count(kDefault) > 0) {
    return keys;
  }
  absl::StatusOr<std::string> key = ParseHookSecret(value);
  if (!key.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kVariable, " is ", key.status().message()));
  }
  keys[kDefault] = *std::move(key);
  return keys;
}

}  // namespace midwatch::cli
