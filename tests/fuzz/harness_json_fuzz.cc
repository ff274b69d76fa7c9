// What the harness takes for JSON it can copy, write as one line of UTF-8, and
// read back. The lines of an input also go through the checks that all bodies
// share.

#include <string>

#include "harness/fields.h"
#include "harness/json.h"
#include "tests/fuzz/fuzz.h"

namespace midwatch::harness {
namespace {

void CheckRoundTrip(const std::string& text) {
  const Json value = ParseJson(text);
  if (value.is_discarded()) return;
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization): what is tried
  const Json copy = value;
  const std::string written = Dump(copy);
  Require(written.find('\n') == std::string::npos, "JSON is written as a line");
  Require(Dump(ParseJson(written)) == written, "what is written reads back");
}

void CheckFields(const std::string& text) {
  const Json body = ParseJson(text);
  if (!body.is_object()) return;
  absl::StatusOr<Json> name = RequiredName(body);
  if (!name.ok()) RequireInvalidArgument(name.status(), 500);
  absl::StatusOr<Json> metadata = ResolveMetadata(Member(body, "metadata"));
  if (!metadata.ok()) {
    RequireInvalidArgument(metadata.status(), 500);
    return;
  }
  if (metadata->is_null()) return;
  Require(metadata->size() <= 16, "metadata has at most 16 pairs");
  absl::StatusOr<Json> merged = MergeMetadata(*metadata, *metadata);
  Require(merged.ok() && *merged == *metadata,
          "metadata merged with itself stays");
}

}  // namespace
}  // namespace midwatch::harness

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string text(midwatch::AsText(bytes, size));
  using midwatch::harness::kBodyLevelsMax;
  if (midwatch::harness::NestsDeeper(text, kBodyLevelsMax)) return 0;
  midwatch::harness::CheckRoundTrip(text);
  midwatch::harness::CheckFields(text);
  const std::string valid = midwatch::harness::ValidUtf8(text);
  midwatch::Require(midwatch::harness::ValidUtf8(valid) == valid,
                    "valid UTF-8 stays as it is");
  return 0;
}
