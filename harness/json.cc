#include "harness/json.h"

#include "absl/time/time.h"

namespace midwatch::harness {

const Json* Member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  auto it = object.find(key);
  if (it == object.end() || it->is_null()) return nullptr;
  return &*it;
}

std::string StringMember(const Json& object, const char* key) {
  const Json* member = Member(object, key);
  if (member == nullptr || !member->is_string()) return "";
  return member->get<std::string>();
}

std::string Dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json ParseJson(const std::string& text) {
  return Json::parse(text, nullptr, false);
}

bool NestsDeeper(absl::string_view text, int levels) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      quoted = !quoted;
    } else if (quoted) {
      if (c == '\\') ++i;
    } else if (c == '[' || c == '{') {
      if (++depth > levels) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

std::string ValidUtf8(const std::string& bytes) {
  return ParseJson(Dump(Json(bytes))).get<std::string>();
}

std::string FormatMicros(int64_t unix_micros) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ",
                          absl::FromUnixMicros(unix_micros),
                          absl::UTCTimeZone());
}

Json MicrosOrNull(const std::optional<int64_t>& unix_micros) {
  return unix_micros ? Json(FormatMicros(*unix_micros)) : Json(nullptr);
}

}  // namespace midwatch::harness
