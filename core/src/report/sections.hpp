// The sections of the page, in their order. Each says in words what it lacks.
#pragma once

#include "report/html.hpp"
#include "report/number.hpp"
#include "report/run_report.hpp"

#include <string>
#include <string_view>

namespace qtk::report {

/// <section> with its heading; `id` is the anchor.
Markup section(const std::string& id, std::string_view heading, const Markup& content);
/// <p class="note">
Markup note(std::string_view content);
/// A heading of a column or a row: <th scope="...">.
Markup column_heading(std::string_view content);
Markup row_heading(std::string_view content);
Markup row_heading(const Markup& content);

/// A size three times: in the decimal and the binary unit, and exact.
Markup size_in_units(int64_t bytes, const ByteUnit& unit);

/// Every model in one table, with the protocols below it.
Markup summary_section(const RunReport& report);
/// Perplexity and divergence against size.
Markup tradeoff_section(const RunReport& report);
/// Curves of training; nothing if no model was trained.
Markup training_section(const RunReport& report);
/// Sensitivity of every layer; nothing if none was measured.
Markup sensitivity_section(const RunReport& report);
/// Error of every quantized layer, one group of charts a variant.
Markup layer_section(const RunReport& report);
Markup files_section(const RunReport& report);
Markup stages_section(const RunReport& report);
/// How to run it again: command, configuration, machine, model, data.
Markup provenance_section(const RunReport& report);

}  // namespace qtk::report
