// A form's parts lie within its body, in order, without its boundary. The first
// line of an input is the content-type.

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "harness/multipart.h"
#include "tests/fuzz/fuzz.h"

namespace midwatch::harness {
namespace {

void Check(absl::string_view content_type, absl::string_view body) {
  absl::StatusOr<std::vector<FormPart>> parts = ParseForm(content_type, body);
  if (!parts.ok()) {
    RequireInvalidArgument(parts.status(), 300);
    return;
  }
  const char* at = body.data();
  for (const FormPart& part : *parts) {
    Require(part.content.data() >= at, "parts follow one another");
    at = part.content.data() + part.content.size();
    Require(at <= body.data() + body.size(), "parts lie within the body");
    Require(
        part.name.size() + part.filename.size() + part.content_type.size() <=
            2 * body.size(),
        "a part's headers are of the body");
  }
}

// A form of one part with any content reads back as that content.
void CheckRoundTrip(absl::string_view content) {
  constexpr absl::string_view kBoundary = "a-boundary-of-the-fuzz-target";
  if (absl::StrContains(content, kBoundary)) return;
  const std::string body =
      absl::StrCat("--", kBoundary,
                   "\r\nContent-Disposition: form-data; name=\"file\"; "
                   "filename=\"a;\\\"b\"\r\nContent-Type: text/plain\r\n\r\n",
                   content, "\r\n--", kBoundary, "--\r\n");
  absl::StatusOr<std::vector<FormPart>> parts = ParseForm(
      absl::StrCat("multipart/form-data; boundary=", kBoundary), body);
  Require(parts.ok() && parts->size() == 1, "a form of one part has one");
  const FormPart& part = parts->front();
  Require(part.name == "file" && part.filename == "a;\"b" &&
              part.content_type == "text/plain",
          "a part has the headers it was given");
  Require(part.content == content, "content is not looked into");
}

}  // namespace
}  // namespace midwatch::harness

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  absl::string_view text = midwatch::AsText(bytes, size);
  midwatch::harness::CheckRoundTrip(text);
  const absl::string_view content_type = midwatch::TakeLine(text);
  midwatch::harness::Check(content_type, text);
  return 0;
}
