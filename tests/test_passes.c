/*
 * Passes: the runner, single rewrites by their text, and equality with the unrewritten graph for every pass off and on.
 * The golden files tests/golden/skip_cell_*.graph and .regions show what becomes of a skip-only cell; with
 * FTSO_UPDATE_GOLDENS set they are written anew.
 */
#include "tests/nets.h"
#include "tests/region_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- single rewrites */

/* A graph before and after, as text; both without the place pass mattering. `off`: a pass left out, or NULL. */
typedef struct rewrite {
    const char *name, *before, *after;
} rewrite;

#define IMAGE(n) "%" #n " = input() {name=\"x" #n "\"} : [N=2, 4, 5, 5]\n"
#define WIDE(n) "%" #n " = input() {name=\"x" #n "\"} : [N=2, 8, 5, 5]\n"
#define VECTOR(n) "%" #n " = input() {name=\"v" #n "\"} : [4]\n"
#define SCALAR(n) "%" #n " = input() {name=\"s" #n "\"} : []\n"
#define KERNEL(n) "%" #n " = state() {name=\"w" #n "\"} : [4, 4, 1, 1]\n"

static const rewrite rewrites[] = {
    {"equal nodes merge, operands of a sum in any order",
     IMAGE(0) IMAGE(1) "%2 = add(%0, %1) : [N=2, 4, 5, 5]\n%3 = add(%1, %0) : [N=2, 4, 5, 5]\n"
                       "%4 = mul(%2, %3) : [N=2, 4, 5, 5]\noutput \"y\" %4\n",
     IMAGE(0) IMAGE(1) "%2 = add(%0, %1) : [N=2, 4, 5, 5]\n%3 = mul(%2, %2) : [N=2, 4, 5, 5]\n"
                       "output \"y\" %3\n"},
    {"a difference does not commute",
     IMAGE(0) IMAGE(1) "%2 = sub(%0, %1) : [N=2, 4, 5, 5]\n%3 = sub(%1, %0) : [N=2, 4, 5, 5]\n"
                       "%4 = mul(%2, %3) : [N=2, 4, 5, 5]\noutput \"y\" %4\n",
     NULL},
    {"dead nodes go, inputs stay",
     IMAGE(0) IMAGE(1) "%2 = relu(%0) : [N=2, 4, 5, 5]\n%3 = relu(%1) : [N=2, 4, 5, 5]\n"
                       "output \"y\" %3\n",
     IMAGE(0) IMAGE(1) "%2 = relu(%1) : [N=2, 4, 5, 5]\noutput \"y\" %2\n"},
    {"scalars fold",
     IMAGE(0) "%1 = constant() {value=2} : []\n%2 = constant() {value=3} : []\n"
              "%3 = mul(%1, %2) : []\n%4 = scale(%0, %3) : [N=2, 4, 5, 5]\noutput \"y\" %4\n",
     IMAGE(0) "%1 = constant() {value=6} : []\n%2 = scale(%0, %1) : [N=2, 4, 5, 5]\n"
              "output \"y\" %2\n"},
    {"times one, plus zero, plus nothing",
     IMAGE(0) "%1 = constant() {value=1} : []\n%2 = scale(%0, %1) : [N=2, 4, 5, 5]\n"
              "%3 = zero(%2) : [N=2, 4, 5, 5]\n%4 = add(%2, %3) : [N=2, 4, 5, 5]\n"
              "%5 = add(%4) : [N=2, 4, 5, 5]\n%6 = relu(%5) : [N=2, 4, 5, 5]\noutput \"y\" %6\n",
     IMAGE(0) "%1 = relu(%0) : [N=2, 4, 5, 5]\noutput \"y\" %1\n"},
    {"channels times one, plus zero",
     IMAGE(0) "%1 = constant() {value=1} : [4]\n%2 = constant() : [4]\n"
              "%3 = channel_mul(%0, %1) : [N=2, 4, 5, 5]\n"
              "%4 = channel_add(%3, %2) : [N=2, 4, 5, 5]\n%5 = relu(%4) : [N=2, 4, 5, 5]\n"
              "%6 = relu(%5) : [N=2, 4, 5, 5]\noutput \"y\" %6\n",
     IMAGE(0) "%1 = relu(%0) : [N=2, 4, 5, 5]\noutput \"y\" %1\n"},
    {"a sum nobody else reads opens",
     IMAGE(0) IMAGE(1) IMAGE(2) "%3 = add(%0, %1) : [N=2, 4, 5, 5]\n"
                                "%4 = add(%3, %2) : [N=2, 4, 5, 5]\noutput \"y\" %4\n",
     IMAGE(0) IMAGE(1) IMAGE(2) "%3 = add(%0, %1, %2) : [N=2, 4, 5, 5]\noutput \"y\" %3\n"},
    {"halves side by side are the whole",
     IMAGE(0) "%1 = slice(%0) {end=2} : [N=2, 2, 5, 5]\n"
              "%2 = slice(%0) {begin=2, end=4} : [N=2, 2, 5, 5]\n"
              "%3 = concat(%1, %2) : [N=2, 4, 5, 5]\n%4 = relu(%3) : [N=2, 4, 5, 5]\n"
              "output \"y\" %4\n",
     IMAGE(0) "%1 = relu(%0) : [N=2, 4, 5, 5]\noutput \"y\" %1\n"},
    {"a slice finds its part",
     IMAGE(0) IMAGE(1) "%2 = concat(%0, %1) : [N=2, 8, 5, 5]\n"
                       "%3 = slice(%2) {begin=5, end=7} : [N=2, 2, 5, 5]\noutput \"y\" %3\n",
     IMAGE(0) IMAGE(1) "%2 = slice(%1) {begin=1, end=3} : [N=2, 2, 5, 5]\noutput \"y\" %2\n"},
    {"embedded parts add up to the whole",
     IMAGE(
         0) "%1 = slice(%0) {end=1} : [N=2, 1, 5, 5]\n"
            "%2 = slice(%0) {begin=1, end=4} : [N=2, 3, 5, 5]\n"
            "%3 = embed(%1) {channels=4} : [N=2, 4, 5, 5]\n"
            "%4 = embed(%2) {channels=4, begin=1} : [N=2, 4, 5, 5]\n"
            "%5 = add(%4, %3) : [N=2, 4, 5, 5]\n%6 = relu(%5) : [N=2, 4, 5, 5]\noutput \"y\" %6\n",
     IMAGE(0) "%1 = relu(%0) : [N=2, 4, 5, 5]\noutput \"y\" %1\n"},
    {"embedded strangers make a concat",
     IMAGE(0) IMAGE(1) "%2 = embed(%0) {channels=8} : [N=2, 8, 5, 5]\n"
                       "%3 = embed(%1) {channels=8, begin=4} : [N=2, 8, 5, 5]\n"
                       "%4 = add(%2, %3) : [N=2, 8, 5, 5]\noutput \"y\" %4\n",
     IMAGE(0) IMAGE(1) "%2 = concat(%0, %1) : [N=2, 8, 5, 5]\noutput \"y\" %2\n"},
    {"shuffles compose and come round",
     IMAGE(0) "%1 = shuffle(%0) {groups=2} : [N=2, 4, 5, 5]\n"
              "%2 = shuffle(%1) {groups=2} : [N=2, 4, 5, 5]\n%3 = relu(%2) : [N=2, 4, 5, 5]\n"
              "output \"y\" %3\n",
     IMAGE(0) "%1 = relu(%0) : [N=2, 4, 5, 5]\noutput \"y\" %1\n"},
    {"one mask for two",
     IMAGE(0) IMAGE(1) IMAGE(2) "%3 = relu_mask(%0, %2) : [N=2, 4, 5, 5]\n"
                                "%4 = relu_mask(%1, %2) : [N=2, 4, 5, 5]\n"
                                "%5 = add(%3, %4) : [N=2, 4, 5, 5]\noutput \"y\" %5\n",
     IMAGE(0) IMAGE(1) IMAGE(2) "%3 = add(%0, %1) : [N=2, 4, 5, 5]\n"
                                "%4 = relu_mask(%3, %2) : [N=2, 4, 5, 5]\noutput \"y\" %4\n"},
    {"views and packs",
     VECTOR(0)
         VECTOR(1) "%2 = pack(%0, %1) : [8]\n%3 = view(%2) {offset=4} : [4]\n"
                   "%4 = view(%3) {offset=1} : [2]\n%5 = add(%4, %4) : [2]\noutput \"y\" %5\n",
     VECTOR(0) VECTOR(1) "%2 = view(%1) {offset=1} : [2]\n%3 = add(%2, %2) : [2]\n"
                         "output \"y\" %3\n"},
    {"elements of a stack",
     SCALAR(0) SCALAR(1) "%2 = stack(%0, %1) : [2]\n%3 = element(%2) {index=1} : []\n"
                         "%4 = mul(%3, %3) : []\noutput \"y\" %4\n",
     SCALAR(0) SCALAR(1) "%2 = mul(%1, %1) : []\noutput \"y\" %2\n"},
    {"a shift into the padding of a 1x1 convolution",
     IMAGE(0) KERNEL(1) "%2 = shift(%0) {dh=1, dw=1} : [N=2, 4, 5, 5]\n"
                        "%3 = conv(%2, %1) {stride=2} : [N=2, 4, 3, 3]\noutput \"y\" %3\n",
     IMAGE(0) KERNEL(1) "%2 = conv(%0, %1) {stride=2, pad_top=-1, pad_bottom=1, pad_left=-1, "
                        "pad_right=1} : [N=2, 4, 3, 3]\noutput \"y\" %2\n"},
    {"no shift into a window that sees the border",
     IMAGE(0)
         KERNEL(1) "%2 = shift(%0) {dh=1, dw=1} : [N=2, 4, 5, 5]\n"
                   "%3 = conv(%2, %1) {pad_top=1, pad_left=1} : [N=2, 4, 6, 6]\noutput \"y\" %3\n",
     NULL},
    {"a shift passes relu",
     IMAGE(0) KERNEL(1) "%2 = shift(%0) {dh=1, dw=1} : [N=2, 4, 5, 5]\n"
                        "%3 = relu(%2) : [N=2, 4, 5, 5]\n%4 = conv(%3, %1) : [N=2, 4, 5, 5]\n"
                        "output \"y\" %4\n",
     IMAGE(0) KERNEL(1) "%2 = relu(%0) : [N=2, 4, 5, 5]\n"
                        "%3 = conv(%2, %1) {pad_top=-1, pad_bottom=1, pad_left=-1, pad_right=1} : "
                        "[N=2, 4, 5, 5]\noutput \"y\" %3\n"},
    {"scalings of one source add up",
     IMAGE(0) IMAGE(1) SCALAR(2) SCALAR(3) "%4 = scale(%0, %2) : [N=2, 4, 5, 5]\n"
                                           "%5 = add(%4, %1) : [N=2, 4, 5, 5]\n"
                                           "%6 = scale(%5, %3) : [N=2, 4, 5, 5]\n"
                                           "%7 = add(%6, %0) : [N=2, 4, 5, 5]\n"
                                           "%8 = mul(%5, %7) : [N=2, 4, 5, 5]\noutput \"y\" %8\n",
     IMAGE(0) IMAGE(1) SCALAR(2)
         SCALAR(3) "%4 = scale(%0, %2) : [N=2, 4, 5, 5]\n"
                   "%5 = add(%4, %1) : [N=2, 4, 5, 5]\n"
                   "%6 = mul(%2, %3) : []\n"
                   "%7 = constant() {value=1} : []\n"
                   "%8 = add(%6, %7) : []\n"
                   "%9 = scale(%0, %8) : [N=2, 4, 5, 5]\n"
                   "%10 = scale(%1, %3) : [N=2, 4, 5, 5]\n"
                   "%11 = add(%9, %10) : [N=2, 4, 5, 5]\n"
                   "%12 = mul(%5, %11) : [N=2, 4, 5, 5]\noutput \"y\" %12\n"},
    {"a dot through an affine form",
     IMAGE(0) IMAGE(1) VECTOR(2) VECTOR(3) "%4 = channel_mul(%1, %2) : [N=2, 4, 5, 5]\n"
                                           "%5 = channel_add(%4, %3) : [N=2, 4, 5, 5]\n"
                                           "%6 = dot(%0, %5) : []\noutput \"y\" %6\n",
     IMAGE(0) IMAGE(1) VECTOR(2)
         VECTOR(3) "%4 = channel_dot(%0, %1) : [4]\n%5 = mul(%2, %4) : [4]\n"
                   "%6 = channel_sum(%0) : [4]\n%7 = mul(%3, %6) : [4]\n"
                   "%8 = add(%5, %7) : [4]\n%9 = sum(%8) : []\n"
                   "output \"y\" %9\n"},
    {"statistics of a concat are those of its parts",
     IMAGE(0) IMAGE(1) "%2 = concat(%0, %1) : [N=2, 8, 5, 5]\n%3 = channel_dot(%2, %2) : [8]\n"
                       "output \"y\" %3\n",
     IMAGE(0) IMAGE(1) "%2 = channel_dot(%0, %0) : [4]\n%3 = channel_dot(%1, %1) : [4]\n"
                       "%4 = concat(%2, %3) : [8]\noutput \"y\" %4\n"},
    {"gradients through two kernels are one contraction",
     IMAGE(0) IMAGE(1) KERNEL(2)
         KERNEL(3) "%4 = conv_dx(%0, %2) {height=5, width=5} : [N=2, 4, 5, 5]\n"
                   "%5 = conv_dx(%1, %3) {height=5, width=5} : [N=2, 4, 5, 5]\n"
                   "%6 = add(%4, %5) : [N=2, 4, 5, 5]\noutput \"y\" %6\n",
     IMAGE(0) IMAGE(1) KERNEL(2) KERNEL(
         3) "%4 = concat(%0, %1) : [N=2, 8, 5, 5]\n%5 = add(%2) : [4, 4, 1, 1]\n"
            "%6 = add(%3) : [4, 4, 1, 1]\n%7 = pack(%5, %6) : [32]\n%8 = view(%7) : [8, 4, 1, 1]\n"
            "%9 = conv_dx(%4, %8) {height=5, width=5} : [N=2, 4, 5, 5]\noutput \"y\" %9\n"},
    {"a product with a shuffled image shuffles the other one, which is shuffled back for others",
     IMAGE(0) IMAGE(1) "%2 = shuffle(%1) {groups=2} : [N=2, 4, 5, 5]\n"
                       "%3 = channel_dot(%0, %2) : [4]\n"
                       "%4 = shuffle(%0) {groups=2} : [N=2, 4, 5, 5]\n"
                       "%5 = relu(%4) : [N=2, 4, 5, 5]\noutput \"v\" %3\noutput \"y\" %5\n",
     IMAGE(0) IMAGE(1) "%2 = shuffle(%0) {groups=2} : [N=2, 4, 5, 5]\n"
                       "%3 = channel_dot(%2, %1) : [4]\n%4 = shuffle(%3) {groups=2} : [4]\n"
                       "%5 = relu(%2) : [N=2, 4, 5, 5]\noutput \"v\" %4\noutput \"y\" %5\n"},
    {"also where the shuffled image stays for others",
     IMAGE(0) IMAGE(1) "%2 = shuffle(%1) {groups=2} : [N=2, 4, 5, 5]\n"
                       "%3 = channel_dot(%0, %2) : [4]\n"
                       "%4 = shuffle(%0) {groups=2} : [N=2, 4, 5, 5]\n"
                       "%5 = mul(%4, %2) : [N=2, 4, 5, 5]\noutput \"v\" %3\noutput \"y\" %5\n",
     IMAGE(0) IMAGE(1) "%2 = shuffle(%1) {groups=2} : [N=2, 4, 5, 5]\n"
                       "%3 = shuffle(%0) {groups=2} : [N=2, 4, 5, 5]\n"
                       "%4 = channel_dot(%3, %1) : [4]\n%5 = shuffle(%4) {groups=2} : [4]\n"
                       "%6 = mul(%3, %2) : [N=2, 4, 5, 5]\noutput \"v\" %5\noutput \"y\" %6\n"},
    {"shuffled back is as often as undoes it",
     WIDE(0) WIDE(1) "%2 = shuffle(%1) {groups=2} : [N=2, 8, 5, 5]\n"
                     "%3 = channel_dot(%0, %2) : [8]\n"
                     "%4 = shuffle(%0) {groups=2, power=2} : [N=2, 8, 5, 5]\n"
                     "%5 = relu(%4) : [N=2, 8, 5, 5]\noutput \"v\" %3\noutput \"y\" %5\n",
     WIDE(0) WIDE(1) "%2 = shuffle(%0) {groups=2, power=2} : [N=2, 8, 5, 5]\n"
                     "%3 = channel_dot(%2, %1) : [8]\n%4 = shuffle(%3) {groups=2} : [8]\n"
                     "%5 = relu(%2) : [N=2, 8, 5, 5]\noutput \"v\" %4\noutput \"y\" %5\n"},
    {"shuffled on is not shuffled back",
     WIDE(0) WIDE(1) "%2 = shuffle(%1) {groups=2} : [N=2, 8, 5, 5]\n"
                     "%3 = channel_dot(%0, %2) : [8]\n"
                     "%4 = shuffle(%0) {groups=2} : [N=2, 8, 5, 5]\n"
                     "%5 = relu(%4) : [N=2, 8, 5, 5]\noutput \"v\" %3\noutput \"y\" %5\n",
     NULL},
    {"nor a shuffle for a shuffle",
     IMAGE(0) IMAGE(1) "%2 = shuffle(%1) {groups=2} : [N=2, 4, 5, 5]\n"
                       "%3 = channel_dot(%0, %2) : [4]\noutput \"v\" %3\n",
     NULL},
    {"but one for two",
     IMAGE(0) IMAGE(1) IMAGE(2) "%3 = shuffle(%1) {groups=2} : [N=2, 4, 5, 5]\n"
                                "%4 = channel_dot(%0, %3) : [4]\n"
                                "%5 = shuffle(%2) {groups=2} : [N=2, 4, 5, 5]\n"
                                "%6 = channel_dot(%0, %5) : [4]\n"
                                "output \"v\" %4\noutput \"w\" %6\n",
     IMAGE(0) IMAGE(1) IMAGE(2) "%3 = shuffle(%0) {groups=2} : [N=2, 4, 5, 5]\n"
                                "%4 = channel_dot(%3, %1) : [4]\n"
                                "%5 = shuffle(%4) {groups=2} : [4]\n"
                                "%6 = channel_dot(%3, %2) : [4]\n"
                                "%7 = shuffle(%6) {groups=2} : [4]\n"
                                "output \"v\" %5\noutput \"w\" %7\n"},
    {"terms shuffled alike are added up, and shuffled once",
     IMAGE(0) IMAGE(1) IMAGE(2) SCALAR(3) "%4 = shuffle(%0) {groups=2} : [N=2, 4, 5, 5]\n"
                                          "%5 = scale(%4, %3) : [N=2, 4, 5, 5]\n"
                                          "%6 = shuffle(%1) {groups=2} : [N=2, 4, 5, 5]\n"
                                          "%7 = add(%5, %2, %6) : [N=2, 4, 5, 5]\n"
                                          "%8 = relu(%7) : [N=2, 4, 5, 5]\noutput \"y\" %8\n",
     IMAGE(0) IMAGE(1) IMAGE(2) SCALAR(3) "%4 = scale(%0, %3) : [N=2, 4, 5, 5]\n"
                                          "%5 = add(%4, %1) : [N=2, 4, 5, 5]\n"
                                          "%6 = shuffle(%5) {groups=2} : [N=2, 4, 5, 5]\n"
                                          "%7 = add(%6, %2) : [N=2, 4, 5, 5]\n"
                                          "%8 = relu(%7) : [N=2, 4, 5, 5]\noutput \"y\" %8\n"},
    {"not where one of them stays for others, and none is saved",
     IMAGE(0) IMAGE(1) "%2 = shuffle(%0) {groups=2} : [N=2, 4, 5, 5]\n"
                       "%3 = shuffle(%1) {groups=2} : [N=2, 4, 5, 5]\n"
                       "%4 = add(%2, %3) : [N=2, 4, 5, 5]\n%5 = relu(%2) : [N=2, 4, 5, 5]\n"
                       "output \"y\" %4\noutput \"z\" %5\n",
     NULL},
    {"two sums of the same two images save nothing",
     IMAGE(0) IMAGE(1) SCALAR(2) "%3 = shuffle(%0) {groups=2} : [N=2, 4, 5, 5]\n"
                                 "%4 = shuffle(%1) {groups=2} : [N=2, 4, 5, 5]\n"
                                 "%5 = add(%3, %4) : [N=2, 4, 5, 5]\n"
                                 "%6 = scale(%4, %2) : [N=2, 4, 5, 5]\n"
                                 "%7 = add(%3, %6) : [N=2, 4, 5, 5]\n"
                                 "output \"y\" %5\noutput \"z\" %7\n",
     NULL},
    {"of three, one",
     IMAGE(0) IMAGE(1) IMAGE(2) "%3 = shuffle(%0) {groups=2} : [N=2, 4, 5, 5]\n"
                                "%4 = shuffle(%1) {groups=2} : [N=2, 4, 5, 5]\n"
                                "%5 = add(%3, %4) : [N=2, 4, 5, 5]\n"
                                "%6 = shuffle(%2) {groups=2} : [N=2, 4, 5, 5]\n"
                                "%7 = add(%3, %4, %6) : [N=2, 4, 5, 5]\n"
                                "output \"y\" %5\noutput \"z\" %7\n",
     IMAGE(0) IMAGE(1) IMAGE(2) "%3 = add(%0, %1) : [N=2, 4, 5, 5]\n"
                                "%4 = shuffle(%3) {groups=2} : [N=2, 4, 5, 5]\n"
                                "%5 = add(%0, %1, %2) : [N=2, 4, 5, 5]\n"
                                "%6 = shuffle(%5) {groups=2} : [N=2, 4, 5, 5]\n"
                                "output \"y\" %4\noutput \"z\" %6\n"},
    {"terms shuffled by different powers stay apart",
     WIDE(0) WIDE(1) "%2 = shuffle(%0) {groups=2} : [N=2, 8, 5, 5]\n"
                     "%3 = shuffle(%1) {groups=2, power=2} : [N=2, 8, 5, 5]\n"
                     "%4 = add(%2, %3) : [N=2, 8, 5, 5]\noutput \"y\" %4\n",
     NULL},
    {"sums of two images are pooled as these two",
     IMAGE(0) IMAGE(1) VECTOR(2) SCALAR(3) "%4 = add(%0, %1) : [N=2, 4, 5, 5]\n"
                                           "%5 = scale(%1, %3) : [N=2, 4, 5, 5]\n"
                                           "%6 = channel_add(%5, %2) : [N=2, 4, 5, 5]\n"
                                           "%7 = concat(%4, %6) : [N=2, 8, 5, 5]\n"
                                           "%8 = global_avg_pool(%7) : [N=2, 8, 1, 1]\n"
                                           "output \"y\" %8\n",
     IMAGE(0) IMAGE(1) VECTOR(2) SCALAR(3) "%4 = global_avg_pool(%0) : [N=2, 4, 1, 1]\n"
                                           "%5 = global_avg_pool(%1) : [N=2, 4, 1, 1]\n"
                                           "%6 = add(%4, %5) : [N=2, 4, 1, 1]\n"
                                           "%7 = scale(%5, %3) : [N=2, 4, 1, 1]\n"
                                           "%8 = channel_add(%7, %2) : [N=2, 4, 1, 1]\n"
                                           "%9 = concat(%6, %8) : [N=2, 8, 1, 1]\n"
                                           "output \"y\" %9\n"},
    {"not a sum of two images by itself",
     IMAGE(0) IMAGE(1) "%2 = add(%0, %1) : [N=2, 4, 5, 5]\n"
                       "%3 = global_avg_pool(%2) : [N=2, 4, 1, 1]\noutput \"y\" %3\n",
     NULL},
    {"nor through a relu",
     IMAGE(0) "%1 = relu(%0) : [N=2, 4, 5, 5]\n%2 = global_avg_pool(%1) : [N=2, 4, 1, 1]\n"
              "output \"y\" %2\n",
     NULL},
    {"an image of pixels that are alike is one pixel until somebody reads it",
     IMAGE(0) VECTOR(1) "%2 = global_avg_pool(%0) : [N=2, 4, 1, 1]\n"
                        "%3 = relu(%2) : [N=2, 4, 1, 1]\n"
                        "%4 = spread(%3) {height=5, width=5} : [N=2, 4, 5, 5]\n"
                        "%5 = channel_mul(%4, %1) : [N=2, 4, 5, 5]\n"
                        "%6 = mul(%0, %5) : [N=2, 4, 5, 5]\n%7 = channel_sum(%5) : [4]\n"
                        "%8 = channel_dot(%5, %0) : [4]\noutput \"y\" %6\noutput \"s\" %7\n"
                        "output \"d\" %8\n",
     IMAGE(0) VECTOR(1) "%2 = global_avg_pool(%0) : [N=2, 4, 1, 1]\n"
                        "%3 = relu(%2) : [N=2, 4, 1, 1]\n"
                        "%4 = channel_mul(%3, %1) : [N=2, 4, 1, 1]\n"
                        "%5 = spread(%4) {height=5, width=5} : [N=2, 4, 5, 5]\n"
                        "%6 = mul(%0, %5) : [N=2, 4, 5, 5]\n%7 = channel_sum(%4) : [4]\n"
                        "%8 = channel_dot(%4, %2) : [4]\noutput \"y\" %6\noutput \"s\" %7\n"
                        "output \"d\" %8\n"},
    {"but not where two would be spread instead of one",
     IMAGE(0) IMAGE(1) SCALAR(2) "%3 = global_avg_pool(%0) : [N=2, 4, 1, 1]\n"
                                 "%4 = spread(%3) {height=5, width=5} : [N=2, 4, 5, 5]\n"
                                 "%5 = scale(%4, %2) : [N=2, 4, 5, 5]\n"
                                 "%6 = mul(%0, %4) : [N=2, 4, 5, 5]\n"
                                 "%7 = mul(%1, %5) : [N=2, 4, 5, 5]\n"
                                 "output \"y\" %6\noutput \"z\" %7\n",
     NULL},
    {"a product with an image whose mean nobody takes needs the image",
     IMAGE(0) IMAGE(1) "%2 = global_avg_pool(%0) : [N=2, 4, 1, 1]\n"
                       "%3 = spread(%2) {height=5, width=5} : [N=2, 4, 5, 5]\n"
                       "%4 = channel_dot(%3, %1) : [4]\noutput \"d\" %4\n",
     NULL},
    {"a value in two packs is copied",
     VECTOR(0) VECTOR(1) "%2 = add(%0, %1) : [4]\n%3 = pack(%2, %2) : [8]\noutput \"y\" %3\n",
     VECTOR(0) VECTOR(1) "%2 = add(%0, %1) : [4]\n%3 = add(%2) : [4]\n%4 = pack(%2, %3) : [8]\n"
                         "output \"y\" %4\n"},
};

static ftso_graph *parse(ftso_arena *arena, const char *text)
{
    ftso_diag diag;
    ftso_diag_init(&diag, arena);
    ftso_graph *graph = FTSO_NEW(arena, ftso_graph);
    ftso_graph_init(graph, arena, ftso_primitives());
    uint32_t file = ftso_diag_add_source(&diag, "test", text, strlen(text));
    if (!ftso_graph_parse(graph, &diag, file)) {
        ftso_text out;
        ftso_text_init(&out);
        ftso_diag_print(&diag, &out, false);
        fail_msg("%s", ftso_text_get(&out));
    }
    return graph;
}

static void rewrites_by_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < FTSO_COUNT(rewrites); i++) {
        const rewrite *r = &rewrites[i];
        ftso_arena arena;
        ftso_text text;
        ftso_arena_init(&arena);
        ftso_text_init(&text);
        ftso_graph *before = parse(&arena, r->before);
        ftso_graph *after = nets_passes(&arena, before, NULL, 0);
        ftso_graph_print(after, &text);
        const char *expected = r->after ? r->after : r->before;
        if (strcmp(ftso_text_get(&text), expected) != 0)
            fail_msg("%s: expected\n%sbut got\n%s", r->name, expected, ftso_text_get(&text));
        nets_same_graphs(before, after, 2, 1e-12);
        ftso_text_deinit(&text);
        ftso_arena_deinit(&arena);
    }
}

/* ---------------------------------------------------------------- the runner */

typedef struct watched {
    const char *names[32];
    size_t count, stop_after;
} watched;

static bool watch(void *user, const ftso_pass *pass, const ftso_graph *graph, double seconds)
{
    watched *w = user;
    assert_non_null(graph);
    assert_true(seconds >= 0);
    w->names[w->count++] = pass->name;
    return w->count != w->stop_after;
}

static void runner(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_graph *graph = parse(&arena, rewrites[0].before), *out = NULL;
    watched w = {0};
    test_ok(ftso_passes_run(&arena, graph, NULL, 0, watch, &w, &out));
    const ftso_pass_table *table = ftso_passes();
    assert_int_equal(w.count, table->count);
    for (size_t i = 0; i < table->count; i++) assert_string_equal(w.names[i], table->rows[i].name);

    w = (watched){.stop_after = 2};
    test_ok(ftso_passes_run(&arena, graph, NULL, 0, watch, &w, &out));
    assert_int_equal(w.count, 2);
    assert_non_null(out);

    const char *linear = "linear", *wrong = "linaer", *needed = "place";
    w = (watched){0};
    test_ok(ftso_passes_run(&arena, graph, &linear, 1, watch, &w, &out));
    assert_int_equal(w.count, table->count - 1);
    ftso_status status = ftso_passes_run(&arena, graph, &wrong, 1, NULL, NULL, &out);
    assert_int_equal(status.code, FTSO_ERROR_USAGE);
    assert_string_equal(status.message, "there is no pass \"linaer\"; did you mean \"linear\"?");
    status = ftso_passes_run(&arena, graph, &needed, 1, NULL, NULL, &out);
    assert_int_equal(status.code, FTSO_ERROR_USAGE);
    assert_string_equal(status.message, "the pass \"place\" cannot be switched off");
    ftso_arena_deinit(&arena);
}

/* ---------------------------------------------------------------- equality, every pass off and on */

/* Sets of passes to leave out: none, each alone, all optional ones. */
static size_t disabled_sets(const char *names[][16], size_t *counts)
{
    const ftso_pass_table *table = ftso_passes();
    size_t sets = 2;
    counts[0] = counts[1] = 0;
    for (size_t i = 0; i < table->count; i++) {
        if (!table->rows[i].optional) continue;
        names[1][counts[1]++] = table->rows[i].name;
        names[sets][0] = table->rows[i].name;
        counts[sets++] = 1;
    }
    return sets;
}

static void check_all_sets(const ftso_graph *graph, int64_t batch, double tolerance)
{
    const char *names[16][16];
    size_t counts[16], sets = disabled_sets(names, counts);
    for (size_t s = 0; s < sets; s++) {
        ftso_arena arena;
        ftso_schedule *schedule;
        ftso_arena_init(&arena);
        ftso_graph *passed = nets_passes(&arena, graph, names[s], counts[s]);
        nets_same_graphs(graph, passed, batch, tolerance);
        test_ok(ftso_schedule_form(&arena, passed, NULL, &schedule));
        nets_same_schedule(graph, schedule, batch, tolerance);
        ftso_arena_deinit(&arena);
    }
}

static void random_graphs(void **state)
{
    (void)state;
    test_random random = {2024};
    for (int i = 0; i < 150; i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph *graph = nets_random(&arena, &random);
        int64_t least = ftso_graph_min_batch(graph);
        check_all_sets(graph, least + test_below(&random, 4 - least), 1e-8);
        ftso_arena_deinit(&arena);
    }
}

static void super_nets(void **state)
{
    (void)state;
    static const struct {
        const char *opset;
        int64_t k, layers, channels;
    } nets[] = {{"skip_only", 1, 3, 4},
                {"skip_only", 4, 3, 16},
                {"four_ops", 1, 2, 4},
                {"three_ops", 4, 3, 8},
                {"darts_8", 2, 1, 4}};
    for (size_t i = 0; i < FTSO_COUNT(nets); i++)
        for (int of_arch = 0; of_arch < 2; of_arch++) {
            ftso_arena arena;
            ftso_arena_init(&arena);
            nets_options options = {.opset = nets[i].opset,
                                    .k = nets[i].k,
                                    .batch = 2,
                                    .side = 8,
                                    .layers = nets[i].layers,
                                    .channels = nets[i].channels,
                                    .of_arch = of_arch};
            check_all_sets(nets_darts(&arena, &options), 2, 1e-10);
            ftso_arena_deinit(&arena);
        }
}

/* ---------------------------------------------------------------- size */

/* A deep chain of sums of sums, and one sum of very many terms, with gradients: no pass may go through all paths. */
static void large_graphs(void **state)
{
    (void)state;
    for (int wide = 0; wide < 2; wide++) {
        enum { LENGTH = 2000 };
        ftso_arena arena;
        ftso_graph graph;
        ftso_schedule *schedule;
        ftso_arena_init(&arena);
        ftso_graph_init(&graph, &arena, ftso_primitives());
        ftso_value x = ftso_graph_input(&graph, "x", ftso_shape_image(1, 2, 2, 2));
        ftso_value arch = ftso_graph_state(&graph, "arch", ftso_shape_vector(LENGTH));
        ftso_value *values = FTSO_ARRAY(&arena, ftso_value, LENGTH + 2);
        values[0] = values[1] = x;
        for (int64_t i = 0; i < LENGTH; i++) {
            ftso_attr_value index = FTSO_I(i);
            ftso_value beta = ftso_graph_add(&graph, "element", &arch, 1, &index, 1);
            ftso_value last = ftso_graph_binary(&graph, "scale", values[wide ? 0 : i + 1], beta);
            if (wide && i % 3 == 0) last = ftso_graph_unary(&graph, "relu", last);
            values[i + 2] = wide ? last : ftso_graph_binary(&graph, "add", last, values[i]);
        }
        ftso_value y = wide ? ftso_graph_sum(&graph, values, LENGTH + 2) : values[LENGTH + 1];
        ftso_value loss = ftso_graph_binary(&graph, "dot", y, x), gradient;
        ftso_graph_gradient(&graph, loss, &arch, 1, &gradient);
        ftso_graph_output(&graph, "gradient", gradient, FTSO_NO_VALUE);
        ftso_graph *passed = nets_passes(&arena, &graph, NULL, 0);
        test_ok(ftso_schedule_form(&arena, passed, NULL, &schedule));
        nets_same_schedule(&graph, schedule, 1, 1e-8);
        assert_true(passed->node_count < 20 * LENGTH);
        ftso_arena_deinit(&arena);
    }
}

/* ---------------------------------------------------------------- the skip-only cell */

enum { GOLDEN_CHANNELS = 16, CELL_NODES = 4, CELL_EDGES = 14 };

/*
 * A stride-1 cell between two inputs and a convolution; the loss is the inner product with a given image. Outputs: the
 * loss and the gradient of all fourteen betas.
 */
static ftso_graph *skip_cell(ftso_arena *arena, int64_t k, int64_t channels)
{
    ftso_graph *graph = FTSO_NEW(arena, ftso_graph);
    ftso_graph_init(graph, arena, ftso_primitives());
    ftso_shape image = ftso_shape_image(2, channels, 6, 6);
    ftso_value states[2 + CELL_NODES] = {ftso_graph_input(graph, "z0", image),
                                         ftso_graph_input(graph, "z1", image)};
    ftso_value target = ftso_graph_input(graph, "target", image);
    ftso_value weights = ftso_graph_state(graph, "weights",
                                          ftso_shape_weight(channels, CELL_NODES * channels, 1, 1));
    ftso_value arch = ftso_graph_state(graph, "arch", ftso_shape_vector(CELL_EDGES));
    for (int64_t edge = 0, node = 2; node < 2 + CELL_NODES; node++) {
        ftso_value terms[2 + CELL_NODES];
        for (int64_t from = 0; from < node; from++, edge++) {
            ftso_value x = states[from], beta;
            ftso_attr_value index = FTSO_I(edge), groups = FTSO_I(k);
            beta = ftso_graph_add(graph, "element", &arch, 1, &index, 1);
            if (k > 1) {
                ftso_attr_value cut[3] = {FTSO_I(0), FTSO_I(channels / k), FTSO_I(channels)};
                ftso_value parts[2];
                for (int i = 0; i < 2; i++)
                    parts[i] = ftso_graph_add(graph, "slice", &x, 1, cut + i, 2);
                x = ftso_graph_add(graph, "concat", parts, 2, NULL, 0);
                x = ftso_graph_add(graph, "shuffle", &x, 1, &groups, 1);
            }
            terms[from] = ftso_graph_binary(graph, "scale", x, beta);
        }
        states[node] = ftso_graph_sum(graph, terms, (size_t)node);
    }
    ftso_value cell = ftso_graph_add(graph, "concat", states + 2, CELL_NODES, NULL, 0);
    ftso_value y = ftso_graph_binary(graph, "conv", ftso_graph_unary(graph, "relu", cell), weights);
    ftso_value loss = ftso_graph_binary(graph, "dot", target, y), gradient;
    ftso_graph_gradient(graph, loss, &arch, 1, &gradient);
    ftso_graph_output(graph, "loss", loss, FTSO_NO_VALUE);
    ftso_graph_output(graph, "gradient", gradient, FTSO_NO_VALUE);
    return graph;
}

static void check_golden(const char *name, const ftso_text *text)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    const char *path = ftso_format(&arena, "%s/tests/golden/%s", FTSO_SOURCE_DIR, name);
    if (getenv("FTSO_UPDATE_GOLDENS"))
        test_ok(ftso_file_write_atomic(path, text->data, text->length));
    char *expected;
    size_t length;
    test_ok(ftso_file_read(&arena, path, 1 << 20, &expected, &length));
    assert_string_equal(ftso_text_get(text), expected);
    ftso_arena_deinit(&arena);
}

/* Images that a region reads, by name of the leaf; others as "stored". */
static size_t image_reads(const ftso_schedule *schedule, const ftso_region *region,
                          size_t *out_inputs)
{
    size_t stored = 0;
    *out_inputs = 0;
    for (size_t i = 0; i < region->read_count; i++) {
        const ftso_node *node = ftso_graph_node(schedule->graph, region->reads[i]);
        if (!node->shape.batched) continue;
        if (ftso_node_is(node, "input"))
            ++*out_inputs;
        else
            stored++;
    }
    return stored;
}

/* Counts nodes of that name in the graph. */
static size_t count_op(const ftso_graph *graph, const char *op_name)
{
    size_t count = 0;
    for (size_t v = 0; v < graph->node_count; v++) count += ftso_node_is(&graph->nodes[v], op_name);
    return count;
}

/* `products`: how many channel-wise products of the nodes' gradients there are. */
static void check_skip_cell(int64_t k, int64_t channels, size_t products)
{
    ftso_arena arena;
    ftso_text text;
    ftso_schedule *schedule;
    ftso_arena_init(&arena);
    ftso_text_init(&text);
    ftso_graph *graph = skip_cell(&arena, k, channels),
               *passed = nets_passes(&arena, graph, NULL, 0);
    nets_same_graphs(graph, passed, 2, 1e-12);
    test_ok(ftso_schedule_form(&arena, passed, NULL, &schedule));
    nets_same_schedule(graph, schedule, 2, 1e-12);

    /*
     * Every scaled image is an input of the cell or the gradient of its output, moved perhaps; where channels move between nodes
     * also a node or its gradient, which then spares terms: no sum has more than the last node's as it was written.
     */
    for (size_t v = 0; v < passed->node_count; v++) {
        const ftso_node *node = &passed->nodes[v];
        if (ftso_node_is(node, "add") && node->shape.batched)
            assert_true(node->input_count <= 1 + CELL_NODES);
        if (!ftso_node_is(node, "scale") || !node->shape.batched) continue;
        const ftso_node *source = ftso_graph_node(passed, node->inputs[0]);
        if (ftso_node_is(source, "shuffle")) source = ftso_graph_node(passed, source->inputs[0]);
        assert_true(ftso_node_is(source, "input") || ftso_node_is(source, "relu_mask") ||
                    (k > 1 && ftso_node_is(source, "add")));
    }
    /* the second operand of every channel-wise product: z0 or z1, or a node where channels move between nodes */
    size_t found = 0;
    for (size_t v = 0; v < passed->node_count; v++) {
        const ftso_node *node = &passed->nodes[v];
        if (!ftso_node_is(node, "channel_dot")) continue;
        const ftso_node *source = ftso_graph_node(passed, node->inputs[1]);
        if (ftso_node_is(source, "shuffle")) source = ftso_graph_node(passed, source->inputs[0]);
        if (ftso_node_is(source, "conv")) continue; /* the loss */
        assert_true(ftso_node_is(source, "input") || (k > 1 && ftso_node_is(source, "add")));
        found++;
    }
    assert_int_equal(found, products);
    assert_int_equal(count_op(passed, "dot"), 0);

    /* forward and backward read the two inputs, and beside them only `target` and what a convolution stored */
    bool cell_seen = false;
    for (size_t r = 0; r < schedule->region_count; r++) {
        const ftso_region *region = &schedule->regions[r];
        size_t inputs, stored = image_reads(schedule, region, &inputs);
        assert_true(inputs <= 3);
        assert_true(stored <= 1);
        for (size_t i = 0; i < region->node_count; i++)
            if (ftso_node_is(ftso_graph_node(passed, region->nodes[i]), "concat")) cell_seen = true;
        for (size_t i = 0; i < region->write_count; i++)
            assert_false(ftso_node_is(ftso_graph_node(passed, region->writes[i]), "concat") &&
                         ftso_graph_shape(passed, region->writes[i]).batched);
    }
    assert_true(cell_seen);
    if (channels != GOLDEN_CHANNELS) {
        ftso_text_deinit(&text);
        ftso_arena_deinit(&arena);
        return;
    }
    ftso_graph_print(passed, &text);
    check_golden(ftso_format(&arena, "skip_cell_k%d.graph", (int)k), &text);
    ftso_text_deinit(&text);
    ftso_text_init(&text);
    ftso_schedule_print(schedule, &text);
    check_golden(ftso_format(&arena, "skip_cell_k%d.regions", (int)k), &text);
    ftso_text_deinit(&text);
    ftso_arena_deinit(&arena);
}

static void skip_cell_k1(void **state)
{
    (void)state;
    check_skip_cell(1, 16, 8); /* four gradients with two inputs */
}

static void skip_cell_k4(void **state)
{
    (void)state;
    /* one of each edge, since two inputs behind every power of the shuffle would be as many or more: 14, 20 */
    check_skip_cell(4, 16, 14);
    check_skip_cell(4, 32, 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runner),        cmocka_unit_test(rewrites_by_text),
        cmocka_unit_test(random_graphs), cmocka_unit_test(super_nets),
        cmocka_unit_test(large_graphs),  cmocka_unit_test(skip_cell_k1),
        cmocka_unit_test(skip_cell_k4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
