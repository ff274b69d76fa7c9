#ifndef MIDWATCH_CLI_BATCH_SCHEMA_H_
#define MIDWATCH_CLI_BATCH_SCHEMA_H_

namespace midwatch::cli {

// The text of docs/batch.schema.json, which the build puts here.
extern const char kBatchSchema[];

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_BATCH_SCHEMA_H_
