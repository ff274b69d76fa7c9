// Accounts as people read them.
#ifndef MIDWATCH_CLI_ACCOUNT_VIEWS_H_
#define MIDWATCH_CLI_ACCOUNT_VIEWS_H_

#include <string>

#include "cli/commands.h"
#include "midwatch/v1/account_service.pb.h"

namespace midwatch::cli {

// Whether it is open; else why not, until when, and what to do, in one line.
std::string AccountLine(const GlobalOptions& global,
                        const v1::Account& account);
// Of each class that is limited, how much was used lately, in one line:
// "create 212/300, read 480/1200".
std::string RatesLine(const v1::Account& account);
// One row for each class; empty where nothing is known.
std::string RateTable(const v1::Account& account, int width);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_ACCOUNT_VIEWS_H_
