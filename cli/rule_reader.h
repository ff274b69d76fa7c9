// `canary` and `stop_when` of a batch file.
#ifndef MIDWATCH_CLI_RULE_READER_H_
#define MIDWATCH_CLI_RULE_READER_H_

#include "cli/spec_reader.h"
#include "cli/yaml_reader.h"
#include "midwatch/v1/batch_service.pb.h"

namespace midwatch::cli {

void ReadCanary(const YAML::Node& node, SpecReader& reader,
                Complaints& complaints, v1::Canary& canary);
void ReadStopWhen(const YAML::Node& node, SpecReader& reader,
                  Complaints& complaints, v1::StopRule& stop);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_RULE_READER_H_
