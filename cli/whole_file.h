#ifndef MIDWATCH_CLI_WHOLE_FILE_H_
#define MIDWATCH_CLI_WHOLE_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace midwatch::cli {

// Makes a file, for its owner alone, that has all its bytes or is not there,
// whenever the process dies. Durable once it returns.
//   kAlreadyExists       there is a file, and not `replace`; nothing changed
//   kFailedPrecondition  it could not be written; it says why
absl::Status WriteWholeFile(const std::string& path, absl::string_view bytes,
                            bool replace);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_WHOLE_FILE_H_
