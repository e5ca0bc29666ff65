/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints a manual page, by the template that its argument names. @VERSION@ becomes the version, and the
 * line @SETTINGS@ becomes the option table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

/* Print text for roff(7), with its escape character and its hyphens quoted. */
static void print_text(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            fputs("\\e", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else
            putchar(*text);
    }
}

static void print_option(const consul_option *option)
{
    printf(".It Ic %s\n", option->name);
    /* A line of roff(7) that begins with a dot or a quote would be a request. */
    fputs("\\&", stdout);
    print_text(option->description);
    puts(".");
    if (option->default_value != NULL) {
        fputs("The default is\n.Ql ", stdout);
        print_text(option->default_value);
        puts(" .");
    }
    if (option->env != NULL)
        printf("The environment variable\n.Ev %s\nstands in for it.\n", option->env);
}

static void print_settings(void)
{
    const consul_option *option;

    puts(".Bl -tag -width Ds");
    for (option = consul_options; option->name != NULL; option++)
        print_option(option);
    puts(".El");
}

static void print_line(char *line)
{
    static const char mark[] = "@VERSION@";
    char *version = strstr(line, mark);

    if (strcmp(line, "@SETTINGS@\n") == 0) {
        print_settings();
    } else if (version != NULL) {
        *version = '\0';
        printf("%s%s%s", line, CONSUL_PROVIDER_VERSION, version + strlen(mark));
    } else {
        fputs(line, stdout);
    }
}

int main(int argc, char **argv)
{
    FILE *template = argc == 2 ? fopen(argv[1], "r") : NULL;
    char line[4096];

    if (template == NULL) {
        fputs("usage: fill_in template\n", stderr);
        return EXIT_FAILURE;
    }
    while (fgets(line, sizeof(line), template) != NULL)
        print_line(line);
    fclose(template);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
