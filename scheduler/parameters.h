// {{name}} in a spec's strings.
#ifndef MIDWATCH_SCHEDULER_PARAMETERS_H_
#define MIDWATCH_SCHEDULER_PARAMETERS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/map.h"
#include "midwatch/v1/task.pb.h"

namespace midwatch {

using Parameters = google::protobuf::Map<std::string, std::string>;

// `text` with each {{name}} (see TakePlaceholder) replaced by its value, once:
// values are not looked into. {{"{{"}} becomes two braces. Other braces stay.
//   kInvalidArgument  no such parameter; the message names it
absl::StatusOr<std::string> FillIn(absl::string_view text,
                                   const Parameters& parameters);

// The names of the parameters that `text` holds, each as often as it stands
// there.
std::vector<std::string> ParameterNames(absl::string_view text);

// `spec` with the parameters of one task filled in everywhere.
absl::StatusOr<v1::TaskSpec> FillIn(v1::TaskSpec spec,
                                    const Parameters& parameters);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_PARAMETERS_H_
