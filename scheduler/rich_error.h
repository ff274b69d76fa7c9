// What an error says beside its code and words: messages of google.rpc, kept as
// payloads of the absl::Status under their type URLs, so that a transport hands
// them on without knowing them.
#ifndef MIDWATCH_SCHEDULER_RICH_ERROR_H_
#define MIDWATCH_SCHEDULER_RICH_ERROR_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace midwatch {

// All that is wrong with a request, field by field, rather than the first
// thing. Fields are paths in the request: "chunk.lines[3].labels".
class FieldViolations {
 public:
  template <typename... Args>
  void Add(absl::string_view field, const Args&... why) {
    AddText(std::string(field), absl::StrCat(why...));
  }
  // A status whose message is "field: why"; nothing where it is OK.
  void Add(const absl::Status& status);
  // Those of a message that stands at `prefix` ("chunk.lines[3].") in this one.
  void AddAll(absl::string_view prefix, const FieldViolations& inner);

  bool empty() const { return count_ == 0; }
  // OK where there are none; else kInvalidArgument with a line for each, and a
  // BadRequest. Both name the first kBytesMax bytes of them and count the rest:
  // a client takes 8 KB of headers, into which the text goes three times, once
  // escaped.
  absl::Status ToStatus() const;

  static constexpr size_t kBytesMax = 1000;

 private:
  void AddText(std::string field, std::string why);

  std::vector<std::pair<std::string, std::string>> violations_;
  size_t count_ = 0, bytes_ = 0;
};

// `status`, and where it is kNotFound which thing there is not: a ResourceInfo
// of `type` ("midwatch.v1.Task").
absl::Status WithResource(absl::Status status, absl::string_view type,
                          absl::string_view name);

// With which thing it is about, as above, whatever its code.
absl::Status AboutResource(absl::Status status, absl::string_view type,
                           absl::string_view name);

// What follows from the code alone, as every error that leaves a service has
// it: of kInvalidArgument a BadRequest (its message is "field: why" where it
// has none yet), of kUnavailable and kResourceExhausted a RetryInfo.
absl::Status WithDetails(absl::Status status);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_RICH_ERROR_H_
