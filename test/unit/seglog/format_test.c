/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
int main(void)
{
    return 0;
}
