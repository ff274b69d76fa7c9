#ifndef MIDWATCH_HARNESS_MULTIPART_H_
#define MIDWATCH_HARNESS_MULTIPART_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace midwatch::harness {

// One part of a multipart/form-data body (RFC 7578).
struct FormPart {
  std::string name;
  std::string filename;       // "" where it is no file
  std::string content_type;   // "" where none is given
  absl::string_view content;  // into the body
};

// `content_type` is the request's header, which names the boundary.
//   kInvalidArgument  no such body
absl::StatusOr<std::vector<FormPart>> ParseForm(absl::string_view content_type,
                                                absl::string_view body);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_MULTIPART_H_
