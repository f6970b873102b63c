/*
 * The program: picks the verb, runs it, turns its status into the exit code. The only file that may exit.
 */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return ftso_main(argc, argv);
}
