#ifndef MIDWATCH_CLI_SECRET_FILE_H_
#define MIDWATCH_CLI_SECRET_FILE_H_

#include <string>

namespace midwatch::cli {

// Warns on standard error, once a process and file, where everybody on this
// machine may read or write the file at `path`, which holds keys or secrets. It
// is used all the same: where it comes from (a mounted secret) its mode may be
// nobody's choice. Its owner's group is taken for a choice. What is no regular
// file, or is missing, is left to whoever reads it.
void WarnIfOpenToAll(const std::string& path);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_SECRET_FILE_H_
