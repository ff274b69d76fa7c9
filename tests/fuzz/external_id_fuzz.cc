// What reads as an id has one spelling, which reads as the same id; and ids
// sort as their times and rows do.

#include <string>

#include "base/external_id.h"
#include "tests/fuzz/fuzz.h"

namespace midwatch {
namespace {

void CheckText(absl::string_view text) {
  absl::StatusOr<ExternalId> id = ParseExternalId(text);
  if (!id.ok()) {
    RequireInvalidArgument(id.status(), 512);
    return;
  }
  Require(id->row >= 1, "rows count from 1");
  Require(id->unix_millis >= 0 && id->unix_millis < int64_t{1} << 48,
          "the time has 48 bits");
  const std::string canonical = FormatExternalId(*id);
  Require(canonical.size() == 26, "an id has 26 characters");
  absl::StatusOr<ExternalId> again = ParseExternalId(canonical);
  Require(again.ok() && *again == *id, "the canonical spelling is the same id");
  Require(FormatExternalId(*again) == canonical, "there is one spelling");
}

int64_t ReadInt(absl::string_view bytes) {
  uint64_t value = 0;
  for (unsigned char c : bytes.substr(0, 8)) value = value << 8 | c;
  return static_cast<int64_t>(value);
}

ExternalId IdOf(absl::string_view bytes) {
  return {.unix_millis = ReadInt(bytes.substr(0, 6)),
          .cluster = static_cast<uint16_t>(ReadInt(bytes.substr(6, 2))),
          .row = ReadInt(bytes.substr(8, 8)) & INT64_MAX};
}

// Two ids of 16 bytes each.
void CheckPair(absl::string_view bytes) {
  const ExternalId a = IdOf(bytes), b = IdOf(bytes.substr(16));
  const auto key = [](const ExternalId& id) {
    return std::make_tuple(id.unix_millis, id.cluster, id.row);
  };
  Require((FormatExternalId(a) < FormatExternalId(b)) == (key(a) < key(b)),
          "ids sort as what they hold");
  absl::StatusOr<ExternalId> again = ParseExternalId(FormatExternalId(a));
  Require(again.ok() == (a.row >= 1), "every row from 1 has an id");
  if (again.ok()) Require(*again == a, "an id reads back as what it holds");
}

}  // namespace
}  // namespace midwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const absl::string_view text = midwatch::AsText(bytes, size);
  midwatch::CheckText(text);
  if (size == 32) midwatch::CheckPair(text);
  return 0;
}
