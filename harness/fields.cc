#include "harness/fields.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "harness/api_error.h"

namespace midwatch::harness {
namespace {

bool Holds(const std::vector<const char*>& names, const std::string& name) {
  return std::any_of(names.begin(), names.end(),
                     [&](const char* n) { return name == n; });
}

size_t CharactersOf(const std::string& utf8) {
  return static_cast<size_t>(std::count_if(
      utf8.begin(), utf8.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

absl::Status CheckMetadata(const Json& metadata) {
  if (metadata.size() > 16) {
    return InvalidRequest("metadata: at most 16 pairs", "invalid_metadata");
  }
  for (const auto& [key, value] : metadata.items()) {
    if (!value.is_string() || key.empty() || CharactersOf(key) > 64 ||
        CharactersOf(value.get<std::string>()) > 512) {
      return InvalidRequest(
          absl::StrCat("metadata.", key,
                       ": must be a string of up to 512 characters under a key "
                       "of 1 to 64"),
          "invalid_metadata");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckMembers(const Json& params,
                          const std::vector<const char*>& known,
                          const std::vector<const char*>& unsupported) {
  if (!params.is_object()) return InvalidRequest("must be a JSON object");
  for (const auto& [key, value] : params.items()) {
    if (!Holds(known, key)) {
      return InvalidRequest(absl::StrCat(key, ": unknown field"));
    }
    bool empty = value.is_null() || value == false ||
                 (value.is_structured() && value.empty());
    if (!empty && Holds(unsupported, key)) return NotSupported(key);
  }
  return absl::OkStatus();
}

absl::StatusOr<Json> TextOrNull(const Json& params, const char* key,
                                size_t characters_max) {
  const Json* value = Member(params, key);
  if (value == nullptr) return Json(nullptr);
  if (!value->is_string() ||
      CharactersOf(value->get<std::string>()) > characters_max) {
    return InvalidRequest(absl::StrCat(key, ": must be a string of up to ",
                                       characters_max, " characters"));
  }
  return *value;
}

absl::StatusOr<Json> RequiredName(const Json& params) {
  ASSIGN_OR_RETURN(Json name, TextOrNull(params, "name", 256));
  if (name.is_null() || name.get<std::string>().empty()) {
    return InvalidRequest("name: must be 1 to 256 characters");
  }
  return name;
}

absl::StatusOr<Json> ResolveMetadata(const Json* params) {
  if (params == nullptr) return Json::object();
  if (!params->is_object()) {
    return InvalidRequest("metadata: must be an object", "invalid_metadata");
  }
  RETURN_IF_ERROR(CheckMetadata(*params));
  return *params;
}

absl::StatusOr<Json> MergeMetadata(Json current, const Json& patch) {
  if (!patch.is_object()) {
    return InvalidRequest("metadata: must be an object", "invalid_metadata");
  }
  for (const auto& [key, value] : patch.items()) {
    if (value.is_null()) {
      current.erase(key);
    } else {
      current[key] = value;
    }
  }
  RETURN_IF_ERROR(CheckMetadata(current));
  return current;
}

}  // namespace midwatch::harness
