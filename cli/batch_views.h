// Batches as people read them.
#ifndef MIDWATCH_CLI_BATCH_VIEWS_H_
#define MIDWATCH_CLI_BATCH_VIEWS_H_

#include <string>
#include <vector>

#include "cli/commands.h"
#include "midwatch/v1/batch_service.pb.h"

namespace midwatch::cli {

std::string BatchTable(const std::vector<v1::Batch>& batches, int width);
// All that is known of one, a line each.
std::string BatchDetails(const GlobalOptions& global, const v1::Batch& batch);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_BATCH_VIEWS_H_
