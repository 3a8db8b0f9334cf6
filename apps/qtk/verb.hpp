// The verbs of the program, one file each. A verb parses its arguments, calls core and prints;
// nothing else.
#pragma once

#include <span>
#include <string>

namespace qtk::app {

using Arguments = std::span<const std::string>;

int run(Arguments arguments);
int launch(Arguments arguments);
int validate(Arguments arguments);
int list(Arguments arguments);
int describe(Arguments arguments);
int import(Arguments arguments);
int evaluate(Arguments arguments);
int export_model(Arguments arguments);
int inspect(Arguments arguments);
int tokenize(Arguments arguments);
int simulate(Arguments arguments);
int bench(Arguments arguments);
int doctor(Arguments arguments);
int schema(Arguments arguments);
int probe_plugin(Arguments arguments);  // hidden: opens one plugin in a process of its own

/// @throws ConfigError naming the nearest verb if there is none of this name
void require_verb(const std::string& name);

}  // namespace qtk::app
