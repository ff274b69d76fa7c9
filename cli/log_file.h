#ifndef MIDWATCH_CLI_LOG_FILE_H_
#define MIDWATCH_CLI_LOG_FILE_H_

#include <string>

namespace midwatch::cli {

// From here on log lines are added to the file at `path`, with their time,
// instead of standard error. A file past 16 MiB is renamed to PATH.old first.
void LogToFile(const std::string& path);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_LOG_FILE_H_
