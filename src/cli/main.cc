#include "cli/cli.h"

int main(int argc, char** argv) { return merope::Main(argc, argv); }
