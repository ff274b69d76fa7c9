// JSON as the harness speaks and stores it: members keep their order, text is
// always valid UTF-8, instants are RFC 3339 with microseconds.
#ifndef MIDWATCH_HARNESS_JSON_H_
#define MIDWATCH_HARNESS_JSON_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace midwatch::harness {

using Json = nlohmann::ordered_json;

// The member `key` of `object`; null where `object` is no object, the member is
// absent, or it is JSON null.
const Json* Member(const Json& object, const char* key);

// The member as a string; "" where it is absent or no string.
std::string StringMember(const Json& object, const char* key);

// One line; bytes that are no UTF-8 become U+FFFD.
std::string Dump(const Json& value);

// Discarded (`is_discarded()`) where `text` is no JSON.
Json ParseJson(const std::string& text);

// How deep a request's body may nest.
inline constexpr int kBodyLevelsMax = 200;

// Whether arrays and objects of `text` lie in one another more than `levels`
// deep. To parse such JSON is safe; to copy or to write it recurses, and would
// use up the stack.
bool NestsDeeper(absl::string_view text, int levels);

// `bytes` with everything that is no UTF-8 replaced by U+FFFD.
std::string ValidUtf8(const std::string& bytes);

// 2026-11-23T10:00:00.000001Z
std::string FormatMicros(int64_t unix_micros);
Json MicrosOrNull(const std::optional<int64_t>& unix_micros);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_JSON_H_
