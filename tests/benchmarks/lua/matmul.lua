-- The algorithm of vmlab/programs/matmul.vm.

return function(n)
  local a, b, c = {}, {}, {}
  for i = 0, n - 1 do
    local row_of_a, row_of_b = {}, {}
    for j = 0, n - 1 do
      row_of_a[j + 1] = i + j + 0.0
      row_of_b[j + 1] = i - j + 0.0
    end
    a[i + 1], b[i + 1] = row_of_a, row_of_b
  end

  for i = 1, n do
    local row, product = a[i], {}
    for j = 1, n do
      local dot = 0.0
      for k = 1, n do
        dot = dot + row[k] * b[k][j]
      end
      product[j] = dot
    end
    c[i] = product
  end

  local total = 0.0
  for i = 1, n do
    local row = c[i]
    for j = 1, n do
      total = total + row[j]
    end
  end
  return total
end
